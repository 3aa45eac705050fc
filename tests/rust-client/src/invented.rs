//! Tools that nobody has seen before: names, arguments and values are new in every run, so that an
//! answer can only come from the request. The seed is printed; OUTCROP_TEST_SEED repeats a run.

use std::{
    hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _, RandomState},
    sync::OnceLock,
};

use async_openai::types::chat::{ChatCompletionTool, ChatCompletionTools, FunctionObject};
use serde_json::{Value, json};

/// The run's seed.
pub fn seed() -> &'static str {
    static SEED: OnceLock<String> = OnceLock::new();
    SEED.get_or_init(|| {
        let given = std::env::var("OUTCROP_TEST_SEED").ok().filter(|seed| !seed.is_empty());
        given.unwrap_or_else(|| RandomState::new().hash_one("seed").to_string())
    })
}

/// A generator of its own for each test.
pub struct Invention {
    name: &'static str,
    drawn: u32,
}

/// A function and the arguments that the user's text gives for it.
pub struct InventedTool {
    pub name: String,
    text: (String, String),
    number: (String, u64),
}

impl Invention {
    /// Words of the test called `name`; prints how to have them again.
    pub fn of(name: &'static str) -> Self {
        println!("{name}: invented with OUTCROP_TEST_SEED={}", seed());
        Self { name, drawn: 0 }
    }

    fn below(&mut self, limit: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (seed(), self.name, self.drawn).hash(&mut hasher);
        self.drawn += 1;
        hasher.finish() % limit
    }

    fn letter(&mut self, from: &str) -> char {
        let index = usize::try_from(self.below(from.len() as u64)).unwrap_or_default();
        from.chars().nth(index).unwrap_or('x')
    }

    /// A word of no language. The counter at its end keeps the words of a test apart.
    pub fn word(&mut self) -> String {
        let mut word = String::new();
        for _ in 0..3 {
            word.push(self.letter("bdfgklmnprstvz"));
            word.push(self.letter("aeiou"));
        }
        format!("{word}{}", self.drawn)
    }

    /// A number of three or four digits.
    pub fn number(&mut self) -> u64 {
        100 + self.below(9_900)
    }

    /// A tool with a text and a number to give it.
    pub fn tool(&mut self) -> InventedTool {
        InventedTool {
            name: format!("{}_{}", self.word(), self.word()),
            text: (self.word(), self.word()),
            number: (self.word(), self.number()),
        }
    }
}

impl InventedTool {
    /// The arguments that the text gives.
    pub fn arguments(&self) -> Value {
        json!({ &self.text.0: self.text.1, &self.number.0: self.number.1 })
    }

    /// The tool as a request offers it.
    pub fn definition(&self) -> ChatCompletionTools {
        ChatCompletionTools::Function(ChatCompletionTool {
            function: FunctionObject {
                name: self.name.clone(),
                description: Some("A tool.".to_owned()),
                parameters: Some(json!({
                    "type": "object",
                    "properties": {
                        &self.text.0: { "type": "string" },
                        &self.number.0: { "type": "integer" },
                    },
                    "required": [self.text.0, self.number.0],
                })),
                strict: None,
            },
        })
    }

    /// The words that ask for this call.
    pub fn asked(&self) -> String {
        let ((text, value), (number, count)) = (&self.text, &self.number);
        format!("call {} with {text} \"{value}\" and {number} {count}", self.name)
    }
}
