//! Prompts: their texts, and the task that each sets: to continue a text, to fill a hole in it, or to
//! answer, where the prompt has the form of a conversation.

use std::borrow::Cow;

use schema::openai::completions::CompletionRequest;
use schema::openai::embeddings::Input;

use crate::Invalid;
use crate::chat::Defaults;
use crate::dialect::QuestionInput;
use crate::token_arrays::decoded;

/// The field.
pub(super) const PARAM: &str = "prompt";

const CONTINUE: &str = "Continue the text. Output only the continuation: no preface, no repetition of the text, no code fence.";
const FILL: &str = "You complete a text at <cursor/>. Output only what stands at the cursor: no explanation, no repetition of the text around it, no code fence.";

/// Marks of conversations in the templates of models: such a prompt is answered, not continued.
const TEMPLATES: [&str; 8] = [
    "[INST]",
    "<|im_start|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<start_of_turn>",
    "<|user|>",
    "<\u{ff5c}User\u{ff5c}>",
    "\n\nHuman:",
];

/// Templates of code models for a hole: the marks before the text, before the hole's other side, and
/// at the end.
const HOLES: [[&str; 3]; 4] = [
    ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"],
    ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"],
    ["<PRE> ", " <SUF>", " <MID>"],
    [
        "<\u{ff5c}fim\u{2581}begin\u{ff5c}>",
        "<\u{ff5c}fim\u{2581}hole\u{ff5c}>",
        "<\u{ff5c}fim\u{2581}end\u{ff5c}>",
    ],
];
/// The same with the other side first.
const HOLE_BEHIND: [&str; 2] = ["[SUFFIX]", "[PREFIX]"];

/// The number of prompts.
pub(super) fn count(request: &CompletionRequest<'_>) -> usize {
    match &request.prompt {
        None | Some(Input::Text(_) | Input::Tokens(_) | Input::Items(_)) => 1,
        Some(Input::Texts(texts)) => texts.len(),
        Some(Input::TokenLists(lists)) => lists.len(),
    }
}

/// The text of the prompt at the input's index.
///
/// # Errors
/// It is blank, or holds unknown tokens.
pub(super) fn text<'q>(
    request: &'q CompletionRequest<'_>,
    input: &QuestionInput<'q>,
) -> Result<Cow<'q, str>, Invalid> {
    let place = format!("{PARAM}[{}]", input.index);
    let tokens =
        |tokens: &[u32], place: &str| decoded(tokens, place, input.text_of).map(Cow::Owned);
    let (text, place) = match &request.prompt {
        None => (Cow::Borrowed(""), PARAM),
        Some(Input::Text(text)) => (Cow::Borrowed(text.as_str()), PARAM),
        Some(Input::Tokens(ids)) => (tokens(ids, PARAM)?, PARAM),
        Some(Input::Items(_)) => {
            let message = "prompt must be a string, an array of strings, or arrays of tokens.";
            return Err(Invalid::value(PARAM, message));
        }
        Some(Input::Texts(texts)) => match texts.get(input.index) {
            Some(text) => (Cow::Borrowed(text.as_str()), &*place),
            None => (Cow::Borrowed(""), PARAM),
        },
        Some(Input::TokenLists(lists)) => match lists.get(input.index) {
            Some(ids) => (tokens(ids, &place)?, &*place),
            None => (Cow::Borrowed(""), PARAM),
        },
    };
    if text.trim().is_empty() {
        let message = format!("{place} is missing, empty or blank; there is nothing to continue.");
        return Err(Invalid::value(place, message));
    }
    Ok(text)
}

/// Adds an operator's parameters where the request gives none.
///
/// # Errors
/// None: the parameters were read with the configuration.
pub(super) fn complete<'a>(
    request: &mut CompletionRequest<'a>,
    defaults: &'a Defaults,
) -> Result<(), serde_json::Error> {
    let own: CompletionRequest<'a> = serde_json::from_str(defaults.body())?;
    fn or<T>(place: &mut Option<T>, default: Option<T>) {
        if place.is_none() {
            *place = default;
        }
    }
    or(&mut request.max_tokens, defaults.most().and_then(|most| i64::try_from(most).ok()));
    or(&mut request.temperature, own.temperature);
    or(&mut request.top_p, own.top_p);
    or(&mut request.top_k, own.top_k);
    or(&mut request.stop, own.stop);
    or(&mut request.seed, own.seed);
    or(&mut request.frequency_penalty, own.frequency_penalty);
    or(&mut request.presence_penalty, own.presence_penalty);
    or(&mut request.service_tier, own.service_tier);
    or(&mut request.performance_config, own.performance_config);
    or(&mut request.user, own.user);
    or(&mut request.safety_identifier, own.safety_identifier);
    for (place, default) in [
        (&mut request.additional_model_request_fields, own.additional_model_request_fields),
        (&mut request.request_metadata, own.request_metadata),
    ] {
        for (name, value) in default.into_iter().flatten() {
            place.get_or_insert_default().entry(name).or_insert(value);
        }
    }
    Ok(())
}

/// The task that a prompt sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PromptTask<'t> {
    /// The text is continued.
    Continue,
    /// The text between two others is written.
    Fill { before: &'t str, after: &'t str },
    /// The prompt is a conversation in a model's template.
    Answer,
}

impl<'t> PromptTask<'t> {
    /// The task of a prompt, with the text behind it.
    pub(super) fn of(prompt: &'t str, suffix: Option<&'t str>) -> Self {
        if let Some(after) = suffix.filter(|suffix| !suffix.is_empty()) {
            return Self::Fill { before: prompt, after };
        }
        if let Some((before, after)) = hole(prompt) {
            return Self::Fill { before, after };
        }
        match TEMPLATES.iter().any(|mark| prompt.contains(mark)) {
            true => Self::Answer,
            false => Self::Continue,
        }
    }

    /// The instruction to the model.
    pub(super) fn instruction(self) -> Option<&'static str> {
        match self {
            Self::Continue => Some(CONTINUE),
            Self::Fill { .. } => Some(FILL),
            Self::Answer => None,
        }
    }

    /// The text for the model, where it is not the prompt as it stands.
    pub(super) fn message(self) -> Option<String> {
        match self {
            Self::Continue | Self::Answer => None,
            Self::Fill { before, after } => {
                Some(format!("<before>{before}</before><cursor/><after>{after}</after>"))
            }
        }
    }
}

/// The texts on both sides of the hole, where a prompt has the form of a code model's template.
fn hole(prompt: &str) -> Option<(&str, &str)> {
    let between = |[start, middle, end]: [&str; 3]| {
        let (_, rest) = prompt.split_once(start)?;
        let (before, rest) = rest.split_once(middle)?;
        let (after, behind) = rest.rsplit_once(end)?;
        behind.trim().is_empty().then_some((before, after))
    };
    HOLES.into_iter().find_map(between).or_else(|| {
        let [behind, before] = HOLE_BEHIND;
        prompt
            .trim_start()
            .strip_prefix("<s>")
            .unwrap_or(prompt)
            .strip_prefix(behind)?
            .split_once(before)
            .map(|(after, before)| (before, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_with_a_hole_are_cut() {
        for (prompt, before, after) in [
            ("<|fim_prefix|>fn a() {<|fim_suffix|>}<|fim_middle|>", "fn a() {", "}"),
            ("<|file_sep|>a.rs\n<|fim_prefix|>x = <|fim_suffix|>\n<|fim_middle|>", "x = ", "\n"),
            ("<fim_prefix>a<fim_suffix>c<fim_middle>", "a", "c"),
            ("<PRE> a <SUF>c <MID>", "a", "c"),
            ("[SUFFIX]c[PREFIX]a", "a", "c"),
            ("<s>[SUFFIX]c[PREFIX]a", "a", "c"),
            (
                "<\u{ff5c}fim\u{2581}begin\u{ff5c}>a<\u{ff5c}fim\u{2581}hole\u{ff5c}>c<\u{ff5c}fim\u{2581}end\u{ff5c}>",
                "a",
                "c",
            ),
        ] {
            assert_eq!(
                PromptTask::of(prompt, None),
                PromptTask::Fill { before, after },
                "{prompt}"
            );
        }
        for prompt in ["<|fim_prefix|>a<|fim_middle|>", "say <fim_prefix>", "[SUFFIX]c"] {
            assert_eq!(PromptTask::of(prompt, None), PromptTask::Continue, "{prompt}");
        }
    }

    #[test]
    fn a_suffix_makes_a_hole_and_a_template_an_answer() {
        assert_eq!(PromptTask::of("a", Some("c")), PromptTask::Fill { before: "a", after: "c" });
        assert_eq!(PromptTask::of("a", Some("")), PromptTask::Continue);
        assert_eq!(PromptTask::of("<s>[INST] Hi [/INST]", None), PromptTask::Answer);
        assert_eq!(PromptTask::of("\n\nHuman: Hi\n\nAssistant:", None), PromptTask::Answer);
        assert_eq!(PromptTask::Answer.instruction(), None);
        let filled = PromptTask::of("a", Some("c")).message();
        assert_eq!(filled.as_deref(), Some("<before>a</before><cursor/><after>c</after>"));
    }
}
