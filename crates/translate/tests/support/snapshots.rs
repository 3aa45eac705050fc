//! Fixtures against their snapshots, with the same settings in every test. The test file
//! declares the module `case` beside this one.

/// Compares the text that `$shown` makes of each fixture's content with its snapshot. A macro,
/// because both stand beside the file of the test.
macro_rules! assert_fixtures {
    ($fixtures:literal, $shown:expr) => {
        insta::glob!($fixtures, |path| {
            let text = std::fs::read_to_string(path).unwrap();
            let shown: String = $shown(&text);
            insta::with_settings!({
                description => case::sentence(path, &text),
                omit_expression => true,
                prepend_module_to_snapshot => false,
            }, {
                insta::assert_snapshot!(shown);
            });
        })
    };
}
