//! Word lists that keep the model from mistaking common words for values, and splitting of names into
//! words.

/// Whether `word` (lower case) carries no meaning of its own.
pub(crate) fn is_stop_word(word: &str) -> bool {
    const WORDS: &str = "a about all also am an and any are as at be both but by can could current did do \
        does each either else following for from has have hello hey hi his how i if in \
        into is it its json let like many may me much my no not now of ok on only or our \
        out please she should so some than thanks that the their them then there these \
        they this those to too tool tools us user was we were what what's when where \
        which who why will with would yes you your he her i'm it's first second \
        parameter parameters argument arguments function functions value values field \
        fields twice separately";
    WORDS.split_whitespace().any(|own| own == word)
}

/// Whether `word` (lower case) is a verb that a request begins with.
pub(crate) fn is_verb(word: &str) -> bool {
    const WORDS: &str = "add answer ask book calculate call check compare compute convert count create \
        delete describe determine explain extract fetch fill find generate get give go \
        help invoke list look make multiply open order play provide query read record \
        reply report respond retrieve return roll run save say schedule search send set \
        show start stop store sum summarize take tell think translate try use using \
        write subtract divide lookup remember pick classify parse";
    WORDS.split_whitespace().any(|own| own == word)
}

/// The words of an identifier, in lower case: `getUser_name-2` is get, user, name, 2.
pub(crate) fn words_of(identifier: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut previous: Option<char> = None;
    for c in identifier.chars() {
        let breaks = previous.is_none_or(|p| {
            !p.is_alphanumeric()
                || (p.is_lowercase() && c.is_uppercase())
                || (p.is_alphabetic() && c.is_ascii_digit())
        });
        if c.is_alphanumeric() {
            match words.last_mut() {
                Some(word) if !breaks => word.extend(c.to_lowercase()),
                _ => words.push(c.to_lowercase().collect()),
            }
        }
        previous = Some(c);
    }
    words
}

/// The meaningful words of prose, in lower case.
pub(crate) fn content_words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 1)
        .map(str::to_lowercase)
        .filter(|word| !is_stop_word(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_split_into_their_words() {
        assert_eq!(words_of("getUser_name-2"), ["get", "user", "name", "2"]);
        assert_eq!(words_of("HTTPServer"), ["httpserver"]);
        assert_eq!(words_of("zq_17"), ["zq", "17"]);
    }
}
