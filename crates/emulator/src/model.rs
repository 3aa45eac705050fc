//! The model of this Bedrock, without knowledge and randomness. Its answer follows from the request alone,
//! so equal requests give equal answers, streamed or not.

mod accepts;
pub(crate) mod answer;
mod arguments;
mod cache;
pub(crate) mod embed;
pub(crate) mod events;
mod facts;
pub(crate) mod guardrail;
mod lexicon;
mod pattern;
pub(crate) mod prompt;
#[cfg(test)]
mod properties;
pub(crate) mod reasoning;
mod relevance;
mod remembered;
pub(crate) mod seal;
mod strings;
pub(crate) mod structured;
pub(crate) mod tokens;
mod tools;

pub(crate) use answer::{Answer, Block};
pub(crate) use cache::PromptCache;
pub(crate) use prompt::Prompt;
pub(crate) use remembered::{Remembered, folded};

use crate::{
    faults::Directive,
    models::{Family, Reasoning},
    script::Fault,
};

/// Answers `prompt`; `cache` are the tokens read from and written to the prompt cache.
pub(crate) fn answer(
    prompt: &Prompt<'_>,
    directive: Option<&Directive>,
    cache: Option<(u64, u64)>,
) -> Answer {
    if matches!(directive, Some(Directive::Echo)) {
        return Answer::new(prompt, vec![Block::Text(prompt.sent.clone())], cache);
    }
    let mut blocks = Vec::new();
    let said = said(prompt);
    if reasoning::interleaves(prompt.model, prompt.body) {
        return Answer::new(prompt, interleaved(prompt, said), cache);
    }
    let thought = answer::thought(prompt, 0);
    // R1 reasons after its answer.
    if prompt.model.id.starts_with("deepseek.r1") {
        blocks.extend(said);
        blocks.extend(thought);
    } else {
        blocks.extend(thought);
        blocks.extend(said);
    }
    Answer::new(prompt, blocks, cache)
}

/// The failure of a model that cannot write its answer. Nova cannot write a call of a tool whose name has a
/// hyphen, and each turn with such a tool fails (SEMOSS/Semoss#2892, lastmile-ai/mcp-agent#126).
pub(crate) fn failure(prompt: &Prompt<'_>) -> Option<Fault> {
    let hyphened = prompt.tools.iter().any(|tool| tool.name.contains('-'));
    (prompt.model.family == Family::Nova && hyphened).then(|| Fault::Exception {
        after: 2,
        kind: "modelStreamErrorException".into(),
        message: "Model produced invalid sequence as part of ToolUse. Please refer to the model tool use troubleshooting guide.".into(),
    })
}

/// `said` with reasoning blocks between its parts: [reasoning, call, reasoning, call] for two calls; with
/// more calls, every second call directly follows the one before it; [reasoning, text, reasoning, call] for
/// one.
fn interleaved(prompt: &Prompt<'_>, said: Vec<Block>) -> Vec<Block> {
    let is_call = |block: &Block| matches!(block, Block::Call { .. });
    let calls = said.iter().filter(|block| is_call(block)).count();
    let mut blocks = Vec::new();
    let mut thoughts = 0;
    // Several calls need no text in front of them.
    let spoken = said.into_iter().filter(|block| calls < 2 || is_call(block));
    for (index, block) in spoken.enumerate() {
        if calls < 3 || index.is_multiple_of(2) {
            blocks.extend(answer::thought(prompt, thoughts));
            thoughts += 1;
        }
        blocks.push(block);
    }
    blocks
}

/// Tool calls with the text around them, JSON if requested, otherwise text.
fn said(prompt: &Prompt<'_>) -> Vec<Block> {
    let calls = tools::calls(prompt);
    if calls.is_empty() {
        let text = structured::answer(prompt).unwrap_or_else(|| answer::words(prompt));
        return vec![Block::Text(text)];
    }
    let names: Vec<&str> = calls
        .iter()
        .filter_map(|block| match block {
            Block::Call { name, .. } => Some(name.as_str()),
            Block::Text(_) | Block::Thought(_) => None,
        })
        .collect();
    let names = names.join(" and ");
    let free = prompt.choice == prompt::Choice::Auto;
    let preface = match (prompt.model.family, prompt.model.reasoning) {
        (Family::Claude, _) if free => Some(format!("I'll call {names} for you.")),
        // The first Nova models reason in their text when they have tools.
        (Family::Nova, Reasoning::Never) if free => {
            Some(format!("<thinking> The user's request needs {names}. </thinking>\n"))
        }
        _ => None,
    };
    preface.map(Block::Text).into_iter().chain(calls).collect()
}
