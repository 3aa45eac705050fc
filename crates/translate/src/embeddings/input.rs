//! `input` in its four forms, converted to texts. Blank texts are refused: some models refuse them
//! without naming the index, others return a meaningless vector.

use schema::Str;
use schema::openai::embedding_item::InputItem;
use schema::openai::embeddings::Input;

use super::Codec;
use super::media::{Combined, combined, is_data_url, of_text, reads_media};
use crate::profile::EmbeddingShape;
use crate::{Invalid, token_arrays};

/// Most texts in one request, as in OpenAI's API.
const MOST: usize = 2048;

/// Inputs of a request.
pub(super) enum Inputs<'a> {
    /// Texts alone.
    Texts(Vec<Str<'a>>),
    /// Texts and media, each with its place.
    Combined(Vec<(String, Combined<'a>)>),
}

/// The inputs: texts, or media among them where the model reads those.
pub(super) fn inputs<'a>(
    input: &'a Input<'a>,
    shape: EmbeddingShape,
    codec: Codec,
) -> Result<Inputs<'a>, Invalid> {
    let reads = reads_media(shape);
    let read = |at: usize, item: &'a InputItem<'a>| {
        let place = place(at);
        combined(item, &place).map(|combined| (place, combined))
    };
    match input {
        Input::Items(items) => {
            bounded(items.len())?;
            let items = items.iter().enumerate().map(|(at, item)| read(at, item));
            Ok(Inputs::Combined(items.collect::<Result<_, _>>()?))
        }
        Input::Text(text) if reads && is_data_url(text) => {
            Ok(Inputs::Combined(vec![("input".to_owned(), of_text(text, "input")?)]))
        }
        Input::Texts(texts) if reads && texts.iter().any(|text| is_data_url(text)) => {
            bounded(texts.len())?;
            let texts = texts.iter().enumerate().map(|(at, text)| {
                let place = place(at);
                of_text(text, &place).map(|combined| (place, combined))
            });
            Ok(Inputs::Combined(texts.collect::<Result<_, _>>()?))
        }
        Input::Text(_) | Input::Texts(_) | Input::Tokens(_) | Input::TokenLists(_) => {
            texts(input, codec).map(Inputs::Texts)
        }
    }
}

/// The texts: at least one, none of them blank.
fn texts<'a>(input: &'a Input<'a>, codec: Codec) -> Result<Vec<Str<'a>>, Invalid> {
    let texts: Vec<Str<'a>> = match input {
        Input::Text(text) => vec![said(text.as_str().into(), "input")?],
        Input::Tokens(tokens) => vec![decoded(tokens, "input", codec)?],
        Input::Texts(texts) => {
            bounded(texts.len())?;
            let texts = texts.iter().enumerate();
            texts
                .map(|(at, text)| said(text.as_str().into(), &place(at)))
                .collect::<Result<_, _>>()?
        }
        Input::TokenLists(lists) => {
            bounded(lists.len())?;
            let lists = lists.iter().enumerate();
            lists
                .map(|(at, tokens)| decoded(tokens, &place(at), codec))
                .collect::<Result<_, _>>()?
        }
        // Those are no texts.
        Input::Items(_) => Vec::new(),
    };
    if texts.is_empty() {
        let message = "input must be a text, or hold at least one.";
        return Err(Invalid::value("input", message).with_code("empty_array"));
    }
    Ok(texts)
}

fn place(at: usize) -> String {
    format!("input[{at}]")
}

fn bounded(count: usize) -> Result<(), Invalid> {
    if count <= MOST {
        return Ok(());
    }
    let message = format!("input holds {count} texts; at most {MOST} can be embedded at once.");
    Err(Invalid::value("input", message).with_code("array_above_max_length"))
}

fn said<'a>(text: Str<'a>, param: &str) -> Result<Str<'a>, Invalid> {
    if text.trim().is_empty() {
        let message = format!("{param} is empty or blank; there is nothing to embed.");
        return Err(Invalid::value(param, message));
    }
    Ok(text)
}

fn decoded(tokens: &[u32], param: &str, codec: Codec) -> Result<Str<'static>, Invalid> {
    said(token_arrays::decoded(tokens, param, codec.text_of)?.into(), param)
}
