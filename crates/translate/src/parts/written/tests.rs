//! Every cut of a text gives the same result, calls match the syntax, and no token appears in the
//! text.
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

const SECTION: [&str; 2] = ["<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"];

/// The text, the reasoning, and the calls with their input.
type Told = (String, String, Vec<(String, String)>);

fn read(syntax: CallSyntax, pieces: &[&str]) -> Told {
    let tools = ["get_weather", "get-time"].map(str::to_owned).to_vec();
    let mut reader = Reader::new(&Syntax { syntax, names: ToolNames::Any, tools });
    let (mut said, mut thought) = (String::new(), String::new());
    let mut out = |voice, words: &str| {
        match voice {
            Voice::Said => said.push_str(words),
            Voice::Reasoning => thought.push_str(words),
        }
        Ok::<(), Infallible>(())
    };
    for piece in pieces {
        reader.push(Voice::Said, piece, &mut out).unwrap();
    }
    reader.end(&mut out).unwrap();
    let calls = reader.take_calls().into_iter().map(|call| (call.name, call.input));
    (said, thought, calls.collect())
}

fn told(said: &str, thought: &str, calls: &[(&str, &str)]) -> Told {
    let calls = calls.iter().map(|(name, input)| ((*name).to_owned(), (*input).to_owned()));
    (said.to_owned(), thought.to_owned(), calls.collect())
}

/// The same structure with other tokens.
fn wide(text: &str) -> String {
    text.replace(SECTION[0], "<｜tool▁calls▁begin｜>")
        .replace(SECTION[1], "<｜tool▁calls▁end｜>")
        .replace("<|tool_call_begin|>", "<｜tool▁call▁begin｜>")
        .replace("<|tool_call_argument_begin|>", "<｜tool▁sep｜>")
        .replace("<|tool_call_end|>", "<｜tool▁call▁end｜>")
}

#[test]
fn calls_in_sections() {
    let [begin, end] = SECTION;
    let call = |name: &str, input: &str| {
        format!("<|tool_call_begin|>{name}<|tool_call_argument_begin|>{input}<|tool_call_end|>")
    };
    let weather = call("functions.get_weather:0", r#"{"city":"Oslo"}"#);
    let oslo = ("get_weather", r#"{"city":"Oslo"}"#);
    let broken = call("functions.get_weather:1", r#"{"city":"#);
    for (text, wanted) in [
        (format!("Look. {begin}{weather}{end}"), told("Look. ", "", &[oslo])),
        (format!("a{begin} {weather}\n {weather} {end}\n\n b"), told("a\n\n b", "", &[oslo, oslo])),
        (format!("a{weather}{end}{end} "), told("a", "", &[oslo])),
        (
            format!("{begin}{}{end}", call(" get-time ", " {} ")),
            told("", "", &[("get-time", "{}")]),
        ),
        (format!("{begin}{broken}{end}"), told("", "", &[("get_weather", r#"{"city":"#)])),
        // Truncated, or without some tokens.
        (weather.replace("<|tool_call_end|>", ""), told("", "", &[oslo])),
        (weather.replace("tool_call_end|>", "tool_c"), told("", "", &[oslo])),
        (weather.replace("<|tool_call_end|>", end), told("", "", &[oslo])),
        (weather.replace("<|tool_call_argument_begin|>", ""), told("", "", &[oslo])),
        (
            "<|tool_call_begin|>functions.get-time:2<|tool_call_end|>".to_owned(),
            told("", "", &[("get-time", "")]),
        ),
        (format!("a {begin}"), told("a ", "", &[])),
        ("a <|tool_call_begin|>functions.get_wea".to_owned(), told("a ", "functions.get_wea", &[])),
        // A tool that was not sent.
        (
            format!("a {begin}{}{end}", call("functions.rm:0", r#"{"path":"/"}"#)),
            told("a ", "functions.rm:0 {\"path\":\"/\"}\n", &[]),
        ),
        // Text that only resembles tokens.
        ("a < b <| c <|im_end|> <".to_owned(), told("a < b <| c <|im_end|> <", "", &[])),
    ] {
        assert_eq!(read(CallSyntax::Sections, &[&text]), wanted, "{text}");
        if text.matches("<|").count() == text.matches("|>").count() && !text.contains("im_end") {
            let text = wide(&text);
            assert_eq!(read(CallSyntax::WideSections, &[&text]), wanted, "{text}");
        }
    }
}

#[test]
fn calls_in_markup() {
    let parameter = |name: &str, text: bool, value: &str| {
        format!(
            "<｜DSML｜parameter name=\"{name}\" string=\"{text}\">{value}</｜DSML｜parameter>\n"
        )
    };
    let invoke = |inner: &str| {
        format!(
            "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n{inner}</｜DSML｜invoke>\n</｜DSML｜function_calls>"
        )
    };
    let (city, days) = (parameter("city", true, "\"Oslo\"\n<b>"), parameter("days", false, " 3"));
    let both = r#"{"city":"\"Oslo\"\n<b>","days":3}"#;
    let open = city.replace("</｜DSML｜parameter>\n", "");
    for (text, said, input) in [
        (format!("Look.\n{} Done.", invoke(&(city.clone() + &days))), "Look.\n Done.", both),
        (invoke(&parameter("list", false, "[1, 2]")), "", r#"{"list":[1, 2]}"#),
        (invoke(&parameter("list", false, "[1, ")), "", r#"{"list":"[1, "}"#),
        (invoke("{\"city\": \"Oslo\"}"), "", "{\"city\": \"Oslo\"}"),
        (invoke(""), "", ""),
        (format!("<｜DSML｜invoke name=\"get_weather\">{days}"), "", r#"{"days":3}"#),
        // An input cut inside a value must stay incomplete.
        (
            format!("<｜DSML｜invoke name=\"get_weather\">{days}{open}"),
            "",
            r#"{"days":3,"city":"\"Oslo\"\n<b>"#,
        ),
    ] {
        let wanted = told(said, "", &[("get_weather", input)]);
        assert_eq!(read(CallSyntax::Markup, &[&text]), wanted, "{text}");
    }
    let words = "a </DSML> <｜DSML| <b name=\"x\">";
    assert_eq!(read(CallSyntax::Markup, &[words]), told(words, "", &[]));
}

#[test]
fn calls_on_channels() {
    let call = "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\":\"Oslo\"}<|call|>";
    let oslo = ("get_weather", r#"{"city":"Oslo"}"#);
    for (text, wanted) in [
        (call.to_owned(), told("", "", &[oslo])),
        (format!("Look. <|start|>assistant{call}"), told("Look. ", "", &[oslo])),
        (call.replace("<|call|>", ""), told("", "", &[oslo])),
        (
            "<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>{\"city\":\"Oslo\"}<|call|>".to_owned(),
            told("", "", &[oslo]),
        ),
        (
            format!("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant{call}<|channel|>final<|message|>Yes.<|return|>"),
            told("Yes.", "Hm.", &[oslo]),
        ),
        // Input without a recipient is neither a call nor the answer.
        ("<|channel|>commentary<|message|>{\"a\": 1}<|end|>".to_owned(), told("", "{\"a\": 1}", &[])),
        ("a<|start|>assistant<|channel|>".to_owned(), told("a", "", &[])),
    ] {
        assert_eq!(read(CallSyntax::Channels, &[&text]), wanted, "{text}");
    }
}

#[test]
fn a_written_call_repeated_as_a_block_is_made_once() {
    let written = r#"<|tool_call_begin|>get_weather<|tool_call_argument_begin|>{"city":"Oslo","days":3}<|tool_call_end|>"#;
    for (made, left) in [
        (r#"{"days": 3, "city": "Oslo"}"#, 1),
        (r#"{"days": 4, "city": "Oslo"}"#, 2),
        (r#"{"days": "#, 2),
    ] {
        let mut reader = Reader::new(&Syntax {
            syntax: CallSyntax::Sections,
            names: ToolNames::Any,
            tools: vec!["get_weather".to_owned()],
        });
        let mut out = |_, _: &str| Ok::<(), Infallible>(());
        reader.push(Voice::Said, written, &mut out).unwrap();
        reader.push(Voice::Said, written, &mut out).unwrap();
        reader.made(7, "get_weather");
        reader.made_with(7, &made[..5]);
        reader.made_with(8, "{}");
        reader.made_with(7, &made[5..]);
        assert_eq!(reader.take_calls().len(), left, "{made}");
    }
}

#[test]
fn ids_are_derived_from_the_answers_id() {
    assert_eq!(call_id("chatcmpl-0a1b", 2), "call_0a1b_2");
    assert!(call_id(&"x".repeat(90), 0).len() <= 64);
}

fn words() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
        "<|tool_call_begin|>",
        "functions.get_weather:0",
        "functions.other:1",
        "<|tool_call_argument_begin|>",
        r#"{"city":"Ö"}"#,
        "<|tool_call_end|>",
        "<｜DSML｜invoke name=\"get_weather\">",
        "</｜DSML｜invoke>",
        "<｜DSML｜parameter name=\"a\" string=\"true\">",
        "</｜DSML｜parameter>",
        "<|start|>assistant",
        "<|channel|>",
        "commentary to=get_weather",
        "final",
        "<|message|>",
        "<|call|>",
        "<|",
        "<",
        "é",
        " ",
        "\n",
        "a",
    ]);
    prop::collection::vec(words, 0..14).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_result(
        text in words(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.retain(|cut| text.is_char_boundary(*cut));
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&str> = cuts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
        for syntax in [CallSyntax::Sections, CallSyntax::Markup, CallSyntax::Channels] {
            let whole = read(syntax, &[&text]);
            prop_assert_eq!(read(syntax, &pieces), whole.clone());
            let (said, thought, _) = &whole;
            let tokens: &[&str] = match syntax {
                CallSyntax::Sections => &["<|tool_call"],
                CallSyntax::Markup => &["<｜DSML｜", "</｜DSML｜"],
                _ => &["<|start|>", "<|channel|>", "<|message|>", "<|call|>"],
            };
            for token in tokens {
                prop_assert!(!said.contains(token) && !thought.contains(token), "{said}{thought}");
            }
        }
    }
}
