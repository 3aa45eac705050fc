//! Messages to turns. Tool results are the hard part: OpenAI lets them come in any order, split
//! over messages or not at all; Bedrock wants every result of a turn in the very next one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use schema::converse::message::{ContentBlock, Message, Role, SystemBlock};
use schema::converse::tool::{ToolResultBlock, ToolResultContent, ToolUseBlock};
use schema::openai::cache::Mark;
use schema::openai::content::{Content, Part};
use schema::openai::message::{Message as ChatMessage, Role as ChatRole};
use schema::openai::tool::{FunctionCall, ToolCall};

use crate::parts::cache;
use crate::parts::media::{Attachments, Beside, within_limits};
use crate::parts::thinking::Past;
use crate::parts::thinking::replay::{Replayed, past, replay};
use crate::parts::tools::{CalledWith, Names, input, sent_id, sent_name};
use crate::parts::turns::{self, FILLER, Turns};
use crate::profile::{Medium, Profile, SystemPrompt};
use crate::thoughts::Recalled;
use crate::{Invalid, Report, Stores};

/// The conversation in Converse's terms.
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<SystemBlock<'a>>,
    pub(super) messages: Vec<Message<'a>>,
    /// Tools that past turns called, by the client's names.
    pub(super) called: Vec<&'a str>,
    /// Whether the turns being answered have the thoughts they were made with.
    pub(super) past: Past,
}

impl Conversation<'_> {
    /// Adds an instruction of our own, after all of the caller's.
    pub(super) fn instruct(&mut self, words: String, profile: &Profile) {
        let last = self.messages.iter_mut().rfind(|turn| turn.role == Role::User);
        match (profile.system, last) {
            (SystemPrompt::InUserTurn, Some(turn)) => {
                turn.content.push(ContentBlock::Text(Cow::Owned(words)));
            }
            (SystemPrompt::InUserTurn, None) | (SystemPrompt::Native, _) => {
                self.system.push(SystemBlock::Text(Cow::Owned(words)));
            }
        }
    }
}

/// Translates `messages`. System messages at the head become the system prompt; later ones stay
/// where they stand, as the user's words, because moving them up would change what was cached.
pub(super) fn conversation<'a>(
    messages: &'a [ChatMessage<'a>],
    names: &Names,
    recalled: Option<&'a Recalled>,
    profile: &Profile,
    stores: &Stores,
    report: &mut Report,
) -> Result<Conversation<'a>, Invalid> {
    if messages.is_empty() {
        let message = "messages must hold at least one message.";
        return Err(Invalid::value("messages", message).with_code("empty_array"));
    }
    let mut building = Building {
        turns: Turns::default(),
        system: Vec::new(),
        called: Vec::new(),
        known: HashSet::new(),
        at_head: true,
        results: Results::index(messages),
        messages,
        profile,
        attachments: Attachments::new(profile, stores),
        beside: Beside::default(),
        recalled,
        lost: HashSet::new(),
        names,
        report,
    };
    for (at, message) in messages.iter().enumerate() {
        building.message(at, message)?;
    }
    let messages = building.turns.finish(profile, building.report);
    within_limits(&messages, profile)?;
    let past = past(&messages, &building.lost, profile);
    Ok(Conversation { system: building.system, messages, called: building.called, past })
}

struct Building<'a, 'r> {
    profile: &'r Profile,
    turns: Turns<'a>,
    system: Vec<SystemBlock<'a>>,
    called: Vec<&'a str>,
    known: HashSet<&'a str>,
    /// Nobody but the system has spoken yet.
    at_head: bool,
    results: Results<'a>,
    messages: &'a [ChatMessage<'a>],
    attachments: Attachments<'r>,
    beside: Beside<'a>,
    recalled: Option<&'a Recalled>,
    /// The first call of each message whose thoughts nobody knows, by its sent id.
    lost: HashSet<Cow<'a, str>>,
    /// The tools that are declared.
    names: &'r Names,
    report: &'r mut Report,
}

impl<'a> Building<'a, '_> {
    fn message(&mut self, at: usize, message: &'a ChatMessage<'a>) -> Result<(), Invalid> {
        self.note_extensions(message);
        self.at_head &= matches!(message.role, ChatRole::System | ChatRole::Developer);
        match message.role {
            ChatRole::System | ChatRole::Developer => self.instruction(at, message),
            ChatRole::User => {
                self.speak(at, message, Role::User)?;
                self.mark_message(message);
                Ok(())
            }
            ChatRole::Assistant => {
                self.think(message);
                self.speak(at, message, Role::Assistant)?;
                self.calls(at, message)
            }
            ChatRole::Tool | ChatRole::Function => self.orphan(at, message),
        }
    }

    fn note_extensions(&mut self, message: &ChatMessage<'_>) {
        let thinks = message.role == ChatRole::Assistant;
        let spoken = matches!(message.role, ChatRole::User | ChatRole::Assistant);
        for (field, present) in [
            ("messages.name", spoken && message.name.is_some()),
            ("messages.audio", message.audio.is_some()),
            ("messages.reasoning_content", !thinks && message.reasoning_content.is_some()),
            ("messages.reasoning", !thinks && message.reasoning.is_some()),
            ("messages.reasoning_details", !thinks && message.reasoning_details.is_some()),
            ("messages.thinking_blocks", !thinks && message.thinking_blocks.is_some()),
        ] {
            if present {
                self.report.ignore(field);
            }
        }
    }

    /// Thoughts come before everything else in their turn.
    fn think(&mut self, message: &'a ChatMessage<'a>) {
        let Replayed { blocks, past } = replay(message, self.recalled, self.profile, self.report);
        for block in blocks {
            self.turns.push(Role::Assistant, ContentBlock::ReasoningContent(block));
        }
        if past == Past::Lost
            && let Some(call) = message.tool_calls.iter().flatten().next()
        {
            self.lost
                .insert(sent_id(call.id.as_deref().unwrap_or_default(), self.profile.call_ids));
        }
    }

    fn instruction(&mut self, at: usize, message: &'a ChatMessage<'a>) -> Result<(), Invalid> {
        let in_system = self.at_head && self.profile.system == SystemPrompt::Native;
        for (text, mark) in texts(at, message)? {
            if in_system {
                if !text.trim().is_empty() {
                    self.system.push(SystemBlock::Text(Cow::Borrowed(text)));
                }
            } else {
                let text = if self.at_head { Cow::Borrowed(text) } else { turns::note(text) };
                self.turns.push(Role::User, ContentBlock::Text(text));
            }
            self.mark(mark, "messages.content.");
        }
        self.mark_message(message);
        Ok(())
    }

    /// Sets a point behind what was said last: in the system prompt, as long as nobody else has spoken.
    fn mark(&mut self, mark: Option<Mark>, place: &str) {
        let Some(point) = cache::point(mark, place, self.profile, self.report) else { return };
        if self.turns.mark(point) {
            return;
        }
        match self.system.last_mut() {
            Some(SystemBlock::CachePoint(before)) => *before = cache::longer(*before, point),
            Some(SystemBlock::Text(_)) => self.system.push(SystemBlock::CachePoint(point)),
            None => self.report.ignore(&format!("{place}cache_control")),
        }
    }

    fn mark_message(&mut self, message: &ChatMessage<'_>) {
        self.mark(message.cache_control.map(Mark::from), "messages.");
    }

    fn speak(
        &mut self,
        at: usize,
        message: &'a ChatMessage<'a>,
        role: Role,
    ) -> Result<(), Invalid> {
        match &message.content {
            None => {}
            Some(Content::Text(text)) => {
                self.turns.push(role, ContentBlock::Text(Cow::Borrowed(text)));
            }
            Some(Content::Parts(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    let param = format!("messages[{at}].content[{index}]");
                    if let Some(block) = self.part(part, &param, role)? {
                        self.turns.push(role, block);
                        self.mark(part.cache(), "messages.content.");
                    }
                }
            }
        }
        // Some clients replay a refusal in both places.
        let in_parts = matches!(&message.content, Some(Content::Parts(parts))
            if parts.iter().any(|part| matches!(part, Part::Refusal { .. })));
        if let Some(refusal) = message.refusal.as_deref()
            && role == Role::Assistant
            && !in_parts
        {
            self.turns.push(role, ContentBlock::Text(Cow::Borrowed(refusal)));
        }
        Ok(())
    }

    fn part(
        &mut self,
        part: &'a Part<'a>,
        param: &str,
        role: Role,
    ) -> Result<Option<ContentBlock<'a>>, Invalid> {
        Ok(Some(match part {
            Part::Text { text, .. } => ContentBlock::Text(Cow::Borrowed(text)),
            Part::Refusal { text, .. } => ContentBlock::Text(Cow::Borrowed(text)),
            Part::ImageUrl { .. }
            | Part::InputAudio { .. }
            | Part::File { .. }
            | Part::VideoUrl { .. }
                if role == Role::Assistant =>
            {
                let message = "Images, files, audio and video are accepted from the user only.";
                return Err(Invalid::value(param, message).with_code("unsupported_value"));
            }
            Part::ImageUrl { image, .. } => {
                if image.detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.report.ignore("messages.content.image_url.detail");
                }
                self.attachments.link(image, Medium::Image, param)?
            }
            Part::InputAudio { audio, .. } => self.attachments.audio(audio, param)?,
            Part::File { file, .. } => self.attachments.file(file, param)?,
            Part::VideoUrl { video, .. } => self.attachments.link(video, Medium::Video, param)?,
            Part::Foreign(kind) => {
                let name = serde_json::to_string(kind).unwrap_or_default();
                self.report.ignore(&format!("messages.content.{}", name.trim_matches('"')));
                return Ok(None);
            }
        }))
    }

    /// The calls of an assistant message, then at once the turn with their results.
    fn calls(&mut self, at: usize, message: &'a ChatMessage<'a>) -> Result<(), Invalid> {
        let calls = calls_of(at, message);
        if let Some(index) = unnamed_call(message) {
            let param = format!("messages[{at}].tool_calls[{index}].function");
            let message = "A tool call needs a function (or custom) with a name.";
            return Err(Invalid::value(param, message).with_code("missing_required_parameter"));
        }
        let mut results = Vec::with_capacity(calls.len());
        let mut repeats: HashMap<&Key<'_>, usize> = HashMap::with_capacity(calls.len());
        for (index, call) in calls.iter().enumerate() {
            let repeats = repeats.entry(&call.key).and_modify(|count| *count += 1).or_default();
            let tool_use_id = if *repeats == 0 {
                sent_id(call.id.as_ref(), self.profile.call_ids)
            } else {
                let id = format!("{}#{repeats}", call.id);
                Cow::Owned(sent_id(&id, self.profile.call_ids).into_owned())
            };
            let complain = |_| {
                Invalid::value(format!("messages[{at}].tool_calls[{index}]"), "Unreadable call.")
            };
            let name = sent_name(call.name);
            let block = ToolUseBlock {
                tool_use_id: Cow::Owned(tool_use_id.to_string()),
                input: input(call.made_with, self.names.form(&name)).map_err(complain)?,
                name,
            };
            self.turns.push(Role::Assistant, ContentBlock::ToolUse(block));
            if self.known.insert(call.name) {
                self.called.push(call.name);
            }
            results.push((tool_use_id, self.results.take(&call.key, at)));
        }
        self.mark_message(message);
        for (tool_use_id, result) in results {
            let content = match result {
                Some(found) => self.result_content(found)?,
                None => vec![ToolResultContent::Text(Cow::Borrowed(NO_RESULT))],
            };
            let content = if content.is_empty() { no_output() } else { content };
            let block =
                ToolResultBlock { tool_use_id: Cow::Owned(tool_use_id.to_string()), content };
            self.turns.push(Role::User, ContentBlock::ToolResult(block));
            if let Some(found) = result {
                self.mark_result(found);
            }
        }
        for block in self.beside.take() {
            self.turns.push(Role::User, block);
        }
        Ok(())
    }

    /// Behind the result as a whole, wherever in it the marks stand.
    fn mark_result(&mut self, at: usize) {
        let message = &self.messages[at];
        if let Some(Content::Parts(parts)) = &message.content {
            for part in parts {
                self.mark(part.cache(), "messages.content.");
            }
        }
        self.mark_message(message);
    }

    fn result_content(&mut self, at: usize) -> Result<Vec<ToolResultContent<'a>>, Invalid> {
        let mut blocks = Vec::new();
        let messages = self.messages;
        match &messages[at].content {
            None => {}
            Some(Content::Text(text)) => push_text(&mut blocks, Cow::Borrowed(text)),
            Some(Content::Parts(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    let param = format!("messages[{at}].content[{index}]");
                    if let Some(block) = self.part(part, &param, Role::User)? {
                        blocks.extend(self.beside.place(block, self.attachments.inside_result()));
                    }
                }
            }
        }
        Ok(blocks)
    }

    /// A result nobody asked for is kept as what it is: something the user brings along.
    fn orphan(&mut self, at: usize, message: &'a ChatMessage<'a>) -> Result<(), Invalid> {
        if self.results.is_taken(at) {
            return Ok(());
        }
        let id = message.tool_call_id.as_deref().or(message.name.as_deref()).unwrap_or("unknown");
        let head = format!("Result of tool call {id}:");
        self.turns.push(Role::User, ContentBlock::Text(Cow::Owned(head)));
        self.speak(at, message, Role::User)?;
        self.mark_message(message);
        Ok(())
    }
}

/// The texts of a message that can hold nothing else, and the marks on them.
fn texts<'a>(
    at: usize,
    message: &'a ChatMessage<'a>,
) -> Result<Vec<(&'a str, Option<Mark>)>, Invalid> {
    let parts = match &message.content {
        None => return Ok(Vec::new()),
        Some(Content::Text(text)) => return Ok(vec![(text.as_str(), None)]),
        Some(Content::Parts(parts)) => parts,
    };
    let texts = parts.iter().enumerate().map(|(index, part)| match part {
        Part::Text { text, .. } | Part::Refusal { text, .. } => Ok((text.as_str(), part.cache())),
        Part::ImageUrl { .. }
        | Part::InputAudio { .. }
        | Part::File { .. }
        | Part::VideoUrl { .. }
        | Part::Foreign(_) => {
            let param = format!("messages[{at}].content[{index}]");
            let message = "Only text parts are accepted here.";
            Err(Invalid::value(param, message).with_code("unsupported_value"))
        }
    });
    texts.collect()
}

fn push_text<'a>(blocks: &mut Vec<ToolResultContent<'a>>, text: Cow<'a, str>) {
    if !text.trim().is_empty() {
        blocks.push(ToolResultContent::Text(text));
    }
}

/// Bedrock wants a result for every call; the model must not take its absence for one.
const NO_RESULT: &str = "No result of this call was given.";

/// Some families refuse a result without content.
fn no_output<'a>() -> Vec<ToolResultContent<'a>> {
    vec![ToolResultContent::Text(Cow::Borrowed(FILLER))]
}

/// A past call, whichever of the three ways it was written.
struct PastCall<'a> {
    /// What a result must carry to belong to it.
    key: Key<'a>,
    id: Cow<'a, str>,
    name: &'a str,
    made_with: CalledWith<'a>,
}

/// How a result finds its call: by id, or (deprecated) by the function's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key<'a> {
    Id(Cow<'a, str>),
    Name(&'a str),
}

fn calls_of<'a>(at: usize, message: &'a ChatMessage<'a>) -> Vec<PastCall<'a>> {
    let named = message.function_call.iter().map(|FunctionCall { name, arguments }| PastCall {
        key: Key::Name(name),
        id: Cow::Owned(format!("call_{at}")),
        name,
        made_with: CalledWith::Arguments(arguments.as_deref().unwrap_or_default()),
    });
    let tools = message.tool_calls.iter().flatten().enumerate();
    let tools = tools.filter_map(|(index, ToolCall { id, function, custom })| {
        let (name, made_with) = match (function, custom) {
            (Some(function), _) => (
                function.name.as_str(),
                CalledWith::Arguments(function.arguments.as_deref().unwrap_or_default()),
            ),
            (None, Some(custom)) => (custom.name.as_str(), CalledWith::Text(&custom.input)),
            (None, None) => return None,
        };
        let id =
            id.as_deref().map_or_else(|| Cow::Owned(format!("call_{at}_{index}")), Cow::Borrowed);
        Some(PastCall { key: Key::Id(id.clone()), id, name, made_with })
    });
    tools.chain(named).collect()
}

/// The first call without a name to be called by.
fn unnamed_call(message: &ChatMessage<'_>) -> Option<usize> {
    let calls = message.tool_calls.iter().flatten();
    calls.into_iter().position(|call| call.function.is_none() && call.custom.is_none())
}

/// Where the results stand, and which are already given to a call. Positions are spent from the front,
/// because calls are met in the order of the conversation.
struct Results<'a> {
    by_key: HashMap<Key<'a>, VecDeque<usize>>,
    calls: HashMap<Key<'a>, VecDeque<usize>>,
    taken: Vec<bool>,
}

impl<'a> Results<'a> {
    fn index(messages: &'a [ChatMessage<'a>]) -> Self {
        let mut by_key: HashMap<Key<'a>, VecDeque<usize>> = HashMap::new();
        let mut calls: HashMap<Key<'a>, VecDeque<usize>> = HashMap::new();
        for (at, message) in messages.iter().enumerate() {
            let key = match message.role {
                ChatRole::Tool => {
                    message.tool_call_id.as_deref().map(|id| Key::Id(Cow::Borrowed(id)))
                }
                ChatRole::Function => message.name.as_deref().map(Key::Name),
                ChatRole::Assistant => {
                    for call in calls_of(at, message) {
                        calls.entry(call.key).or_default().push_back(at);
                    }
                    None
                }
                ChatRole::System | ChatRole::Developer | ChatRole::User => None,
            };
            if let Some(key) = key {
                by_key.entry(key).or_default().push_back(at);
            }
        }
        Self { by_key, calls, taken: vec![false; messages.len()] }
    }

    /// The first free result after `call`, but not beyond the next call of the same id: some
    /// models count their ids from zero in every turn.
    fn take(&mut self, key: &Key<'a>, call: usize) -> Option<usize> {
        let until = self.calls.get_mut(key).and_then(|calls| first_after(calls, call));
        let results = self.by_key.get_mut(key)?;
        let found = first_after(results, call)?;
        if until.is_some_and(|until| found > until) {
            return None;
        }
        results.pop_front();
        self.taken[found] = true;
        Some(found)
    }

    fn is_taken(&self, at: usize) -> bool {
        self.taken[at]
    }
}

/// The first position behind `at`; what lies before it is spent.
fn first_after(positions: &mut VecDeque<usize>, at: usize) -> Option<usize> {
    while positions.front().is_some_and(|&position| position <= at) {
        positions.pop_front();
    }
    positions.front().copied()
}
