//! Translates a complete Converse response to a chat completion.

use std::convert::Infallible;

use schema::converse::response::{
    ConverseResponse, OutputBlock, ReasoningContent, ReasoningText, ServedTier, ToolUse, Trace,
};
use schema::openai::annotation::Outcrop;
use schema::openai::chat::{AnsweredMessage, COMPLETION_OBJECT, ChatCompletion, Choice};
use schema::openai::tool::{AnsweredCall, AnsweredCustom, AnsweredFunction, CallBody};
use serde_json::value::RawValue;

use super::details::details;
use super::finish::finish_reason;
use super::usage::openai;
use crate::answer::reader::{OWN_TOOL, hides_calls};
use crate::answer::sources::{CitedSources, on_one_line};
use crate::answer::turn::AnswerTurn;
use crate::dialect::Answered;
use crate::parts::format::AnswerText;
use crate::parts::stop::{finish, untold};
use crate::parts::tags::{Tagged, Voice};
use crate::parts::tools::{Form, unwrapped};
use crate::parts::usage;
use crate::parts::written::{self, Reader, WrittenCall};
use crate::reply::CallShape;
use crate::{Reply, Stamp};

/// Translates the response to the request that made `reply`. Every text block counts: citations
/// divide one answer into many blocks.
pub fn answer(response: &ConverseResponse<'_>, reply: &Reply, stamp: Stamp) -> ChatCompletion {
    answered(response, reply, stamp).answer
}

/// Translates the response, and returns the turn to save with it.
pub(super) fn answered(
    response: &ConverseResponse<'_>,
    reply: &Reply,
    stamp: Stamp,
) -> Answered<ChatCompletion> {
    let (mut said, by_tool) = Said::of(response, reply, &stamp.id);
    let saved = if reply.keeps_turns() { said.turn_reasoning.take_kept(reply) } else { None };
    let (annotations, citations) = said.sources.finish();
    let calls = said.calls.len();
    let finish_reason = finish_reason(finish(&response.stop_reason, calls), reply.calls);
    let thought = usage::thought(response.additional_model_response_fields);
    let has_calls = calls > 0;
    let content = if said.text.is_empty() && has_calls { None } else { Some(said.text) };
    let (tool_calls, function_call) = match reply.calls {
        CallShape::Tools => (said.calls, None),
        CallShape::Function => (Vec::new(), said.calls.into_iter().next().and_then(function)),
    };
    let (reasoning, reasoning_details) = match reply.thoughts.hidden {
        true => (String::new(), Vec::new()),
        false => (said.reasoning, details(&said.turn_reasoning, reply)),
    };
    let message = AnsweredMessage {
        role: "assistant",
        content,
        refusal: None,
        annotations,
        reasoning_content: (!reasoning.is_empty()).then_some(reasoning),
        reasoning_details,
        tool_calls,
        function_call,
    };
    let mut outcrop = Outcrop {
        stop_reason: untold(&response.stop_reason, calls)
            .filter(|word| !hides_calls(by_tool, reply) || word != OWN_TOOL),
        citations,
        ..Outcrop::default()
    };
    trace(response.trace, &mut outcrop);
    outcrop.additional_model_response_fields =
        fields(response.additional_model_response_fields, reply);
    let invoked_model = outcrop.invoked_model_id.clone();
    let answer = ChatCompletion {
        id: stamp.id,
        object: COMPLETION_OBJECT,
        created: stamp.created,
        model: stamp.model,
        choices: vec![Choice { index: 0, message, finish_reason, logprobs: None, outcrop }],
        service_tier: tier(response.service_tier.as_ref(), reply),
        usage: openai(response.usage, thought),
    };
    Answered { answer, saved, invoked_model }
}

/// Copies the fields of a trace; a trace that cannot be read is ignored.
pub(crate) fn trace(trace: Option<&RawValue>, outcrop: &mut Outcrop) {
    let Some(trace) = trace else { return };
    let Trace { guardrail, prompt_router, agent } =
        serde_json::from_str(trace.get()).unwrap_or_default();
    outcrop.guardrail = guardrail.and_then(on_one_line);
    outcrop.trace = agent.and_then(on_one_line);
    outcrop.invoked_model_id =
        prompt_router.and_then(|router| router.invoked_model_id).map(|id| id.to_string());
}

/// The tier that served the call, where the caller asked for one and clients know its name: their
/// list is closed.
pub(crate) fn tier(told: Option<&ServedTier<'_>>, reply: &Reply) -> Option<String> {
    const KNOWN: [&str; 5] = ["auto", "default", "flex", "scale", "priority"];
    let told = told.filter(|_| reply.echoes_tier)?.kind.to_string();
    KNOWN.contains(&told.as_str()).then_some(told)
}

/// The fields of the model's own response that the caller asked for.
pub(crate) fn fields(told: Option<&RawValue>, reply: &Reply) -> Option<Box<RawValue>> {
    told.filter(|_| reply.shows_fields).and_then(on_one_line)
}

#[derive(Default)]
struct Said {
    text: String,
    answer_text: AnswerText,
    sources: CitedSources,
    /// Separates reasoning between tags from the text, where configured.
    tagged: Option<Tagged>,
    /// Extracts calls from text and reasoning, where the model may write them there.
    reader: Option<Reader>,
    reasoning: String,
    turn_reasoning: AnswerTurn,
    /// Index of the current block.
    at: u32,
    calls: Vec<AnsweredCall>,
    /// Input of the answering tool: the actual answer.
    answer: Option<String>,
}

/// Receives the pieces that the tag parser yields.
type Heard<'h> = dyn FnMut(Voice, &str) -> Result<(), Infallible> + 'h;

impl Said {
    fn new(reply: &Reply) -> Self {
        let tagged = reply.splits_tags.then(Tagged::default);
        let reader = reply.reader();
        Self { answer_text: reply.answer_text(), tagged, reader, ..Self::default() }
    }

    /// Ends the last block.
    fn end(&mut self, reply: &Reply, id: &str) {
        self.end_words();
        self.tell(|tagged, out| tagged.finish(out));
        let calls = self.reader.take().map(|mut reader| reader.take_calls()).unwrap_or_default();
        for (at, WrittenCall { name, input }) in (0..).zip(calls) {
            let input = if input.is_empty() { "{}" } else { &input };
            self.call(&Called { id: &written::call_id(id, at), name: &name, input }, reply);
        }
    }

    /// The content of an answer, and whether a tool gave it.
    fn of(response: &ConverseResponse<'_>, reply: &Reply, id: &str) -> (Self, bool) {
        let mut said = Self::new(reply);
        let blocks = response.output.message.iter().flat_map(|message| &message.content);
        for (at, block) in (0..).zip(blocks) {
            said.block(at, block, reply);
        }
        said.end(reply, id);
        let by_tool = said.answer.is_some();
        said.set_aside();
        (said, by_tool)
    }

    /// Turns text beside an answer by tool into reasoning.
    fn set_aside(&mut self) {
        if self.answer.is_some() {
            self.sources.unsay();
        }
        let held = self.answer_text.finish();
        self.reasoning.push_str(&self.answer_text.take_aside());
        match self.answer.take() {
            Some(answer) => {
                self.reasoning.push_str(&held);
                self.text = answer;
            }
            None => {
                self.sources.say(&held);
                self.turn_reasoning.say(self.at, &held);
                self.text.push_str(&held);
            }
        }
    }

    /// Stores the input of the answering tool. A second answer is a repetition by the model and is
    /// dropped; the tool is not exposed as a call.
    fn answer_by(&mut self, call: &Called<'_>, reply: &Reply) {
        if self.answer.is_none() && !self.answer_text.is_answer() {
            self.reasoning.push_str(&self.answer_text.yields_to_tool());
            let form = reply.names.form(call.name);
            let answer = unwrapped(call.input, form).into_owned();
            self.turn_reasoning.say(self.at, &answer);
            self.answer = Some(answer);
        }
    }

    fn say(&mut self, text: &str) {
        if self.tagged.is_some() {
            self.tell(|tagged, out| tagged.push(text, out));
        } else {
            let text = self.answer_text.push(text);
            self.reasoning.push_str(&self.answer_text.take_aside());
            self.sources.say(&text);
            self.turn_reasoning.say(self.at, &text);
            self.text.push_str(&text);
        }
    }

    /// Processes the pieces that the tag parser yields.
    fn tell(&mut self, with: impl FnOnce(&mut Tagged, &mut Heard<'_>) -> Result<(), Infallible>) {
        let Self {
            text,
            answer_text,
            sources,
            reasoning,
            turn_reasoning,
            at,
            tagged: Some(tagged),
            ..
        } = self
        else {
            return;
        };
        let Ok(()) = with(tagged, &mut |voice, piece| {
            match voice {
                Voice::Said => {
                    let piece = answer_text.push(piece);
                    reasoning.push_str(&answer_text.take_aside());
                    sources.say(&piece);
                    turn_reasoning.say(*at, &piece);
                    text.push_str(&piece);
                }
                Voice::Reasoning => reasoning.push_str(piece),
            }
            Ok(())
        });
    }

    fn block(&mut self, at: u32, block: &OutputBlock<'_>, reply: &Reply) {
        if block.text.as_ref().is_some_and(|text| !text.is_empty())
            || block.citations_content.is_some()
        {
            self.at = at;
        }
        if let Some(text) = &block.text {
            self.read(text);
        }
        for cited in block.citations_content.iter().flat_map(|cited| &cited.content) {
            self.read(cited.text.as_deref().unwrap_or_default());
        }
        if let Some(citations) = block.citations_content.as_ref().and_then(|cited| cited.citations)
        {
            self.sources.cite_all(citations);
            self.turn_reasoning.cite(self.at);
        }
        self.sources.end_block();
        if let Some(content) = &block.reasoning_content {
            self.reason(content);
        }
        let call = block.tool_use.as_ref();
        let is_own =
            |call: &&ToolUse<'_>| !call.is_server_side() && !reply.names.is_hosted(&call.name);
        if let Some(call) = call.filter(is_own).map(Called::of) {
            self.end_words();
            if let Some(reader) = &mut self.reader {
                reader.made(0, call.name);
                reader.made_with(0, call.input);
            }
            if reply.is_answer(call.name) && self.answer.is_none() {
                self.at = at;
            }
            self.call(&call, reply);
        }
    }

    fn call(&mut self, call: &Called<'_>, reply: &Reply) {
        if reply.is_answer(call.name) {
            return self.answer_by(call, reply);
        }
        if reply.drops_calls || (reply.one_call && !self.calls.is_empty()) {
            return;
        }
        if self.answer.is_none() && (self.calls.is_empty() || reply.calls == CallShape::Tools) {
            self.yield_to_call();
        }
        if self.calls.is_empty() || reply.calls == CallShape::Tools {
            self.turn_reasoning.call(call.id, reply);
        }
        self.calls.push(answered_call(call, reply));
    }

    /// Adds text, without the calls written in it.
    fn read(&mut self, text: &str) {
        let Some(mut reader) = self.reader.take() else { return self.say(text) };
        let Ok(()) = reader.push(Voice::Said, text, &mut |voice, words| self.heard(voice, words));
        self.reader = Some(reader);
    }

    /// Ends the current text.
    fn end_words(&mut self) {
        let Some(mut reader) = self.reader.take() else { return };
        let Ok(()) = reader.end(&mut |voice, words: &str| self.heard(voice, words));
        self.reader = Some(reader);
    }

    fn heard(&mut self, voice: Voice, words: &str) -> Result<(), Infallible> {
        match voice {
            Voice::Said => self.say(words),
            Voice::Reasoning => self.reasoning.push_str(words),
        }
        Ok(())
    }

    /// Adds reasoning, without the calls written in it.
    fn reason(&mut self, content: &ReasoningContent<'_>) {
        let text = content.reasoning_text.as_ref();
        let has_text = text.is_some_and(|text| !text.text.is_empty() || text.signature.is_some());
        if has_text || content.redacted_content.is_some() {
            self.end_words();
        }
        let reader =
            if text.is_some_and(|text| !text.text.is_empty()) { self.reader.take() } else { None };
        let (Some(text), Some(mut reader)) = (text, reader) else {
            self.think(content);
            self.reasoning.push_str(text.map_or("", |text| &*text.text));
            return;
        };
        let mut thought = String::new();
        let mut hear = |voice, words: &str| {
            match voice {
                Voice::Said => self.say(words),
                Voice::Reasoning => thought.push_str(words),
            }
            Ok::<(), Infallible>(())
        };
        let Ok(()) = reader.push(Voice::Reasoning, &text.text, &mut hear);
        let Ok(()) = reader.end(&mut hear);
        self.reader = Some(reader);
        self.reasoning.push_str(&thought);
        self.think(&ReasoningContent {
            reasoning_text: Some(ReasoningText {
                text: thought.into(),
                signature: text.signature.clone(),
            }),
            redacted_content: content.redacted_content.clone(),
        });
    }

    fn think(&mut self, content: &ReasoningContent<'_>) {
        if self.turn_reasoning.add(content) && self.answer_text.may_hold() {
            self.turn_reasoning.displace();
        }
    }

    /// Releases held text: it is not the answer, and stands before the call.
    fn yield_to_call(&mut self) {
        match self.answer_text.yields_to_call() {
            (Voice::Reasoning, held) => self.reasoning.push_str(&held),
            (Voice::Said, held) => {
                self.sources.say(&held);
                self.turn_reasoning.say(self.at, &held);
                self.text.push_str(&held);
            }
        }
    }
}

/// A call by the model, in a block or written in text.
struct Called<'c> {
    id: &'c str,
    name: &'c str,
    input: &'c str,
}

impl<'c> Called<'c> {
    fn of(call: &'c ToolUse<'c>) -> Self {
        let input = call.input.map_or("{}", |input| input.get());
        Self { id: &call.tool_use_id, name: &call.name, input }
    }
}

fn answered_call(call: &Called<'_>, reply: &Reply) -> AnsweredCall {
    let name = reply.names.original(call.name).to_owned();
    let form = reply.names.form(call.name);
    let input = unwrapped(call.input, form).into_owned();
    let body = match form {
        Form::Text => CallBody::Custom { custom: AnsweredCustom { name, input } },
        Form::Plain | Form::Value => {
            CallBody::Function { function: AnsweredFunction { name, arguments: input } }
        }
    };
    AnsweredCall { id: call.id.to_owned(), body }
}

/// The deprecated form supports functions only, and only functions were declared.
fn function(call: AnsweredCall) -> Option<AnsweredFunction> {
    match call.body {
        CallBody::Function { function } => Some(function),
        CallBody::Custom { .. } => None,
    }
}
