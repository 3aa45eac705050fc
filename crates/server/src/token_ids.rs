//! Text of token ids: some clients split and count texts themselves and send only the tokens. Only the
//! tokenizer's table is kept. It is built on first use, off the worker threads.

use std::sync::OnceLock;

use translate::embeddings::UnknownToken;

use crate::error::GatewayError;

/// One above the last id; some ids below it are unused.
const END: u32 = 100_277;

static TABLE: OnceLock<Table> = OnceLock::new();

/// The bytes of all tokens in one piece.
#[derive(Debug)]
struct Table {
    bytes: Vec<u8>,
    /// End of each id's bytes; they begin at the end of the previous id's.
    ends: Vec<u32>,
}

/// Builds the table if needed. That takes a moment, so [`text_of`] does not do it.
pub(crate) async fn load() -> Result<(), GatewayError> {
    if TABLE.get().is_some() {
        return Ok(());
    }
    let table = tokio::task::spawn_blocking(Table::cl100k)
        .await
        .map_err(|error| error.to_string())
        .and_then(|made| made)
        .map_err(GatewayError::Internal)?;
    // Another request may have built the same table first.
    let _ = TABLE.set(table);
    Ok(())
}

/// The text of cl100k tokens: OpenAI's clients use that encoding for every model they do not recognise.
/// A character that was split becomes a replacement character.
pub(crate) fn text_of(tokens: &[u32]) -> Result<String, UnknownToken> {
    let mut bytes = Vec::with_capacity(tokens.len() * 4);
    for (at, token) in tokens.iter().enumerate() {
        let table = TABLE.get().ok_or(UnknownToken { at })?;
        bytes.extend_from_slice(table.bytes_of(*token).ok_or(UnknownToken { at })?);
    }
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

impl Table {
    fn cl100k() -> Result<Self, String> {
        let tokenizer = tiktoken_rs::cl100k_base().map_err(|error| error.to_string())?;
        let mut table = Self { bytes: Vec::new(), ends: Vec::new() };
        for token in 0..END {
            if let Ok(bytes) = tokenizer.decode_bytes(&[token]) {
                table.bytes.extend_from_slice(&bytes);
            }
            table.ends.push(u32::try_from(table.bytes.len()).map_err(|error| error.to_string())?);
        }
        Ok(table)
    }

    fn bytes_of(&self, token: u32) -> Option<&[u8]> {
        let token = usize::try_from(token).ok()?;
        let start = match token.checked_sub(1) {
            Some(before) => usize::try_from(*self.ends.get(before)?).ok()?,
            None => 0,
        };
        let end = usize::try_from(*self.ends.get(token)?).ok()?;
        // No token is empty, so an empty range is an unused id.
        self.bytes.get(start..end).filter(|bytes| !bytes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn tokens_decode_to_the_tokenizers_text() {
        load().await.unwrap();
        let tokenizer = tiktoken_rs::cl100k_base().unwrap();
        for text in
            ["Hello World!", " leading", "naïve café — 日本語 🪨", "a\n\n\tb", "<|endoftext|>"]
        {
            for tokens in
                [tokenizer.encode_ordinary(text), tokenizer.encode_with_special_tokens(text)]
            {
                assert_eq!(text_of(&tokens).unwrap(), text);
            }
        }
        assert_eq!(text_of(&[15339, 1917]).unwrap(), "hello world");
        assert_eq!(text_of(&[]).unwrap(), "");
        let last = tokenizer.encode_with_special_tokens("<|endofprompt|>");
        assert_eq!(last, [END - 1]);
    }

    #[actix_rt::test]
    async fn an_unknown_token_is_named_by_its_position() {
        load().await.unwrap();
        for unknown in [100_256, 100_270, END, u32::MAX] {
            assert_eq!(text_of(&[15339, unknown]), Err(UnknownToken { at: 1 }), "{unknown}");
        }
    }

    #[actix_rt::test]
    async fn a_split_character_becomes_a_replacement() {
        load().await.unwrap();
        let tokenizer = tiktoken_rs::cl100k_base().unwrap();
        let tokens = tokenizer.encode_ordinary("🪨");
        assert!(tokens.len() > 1);
        assert!(text_of(&tokens[..1]).unwrap().contains('\u{fffd}'));
    }
}
