//! Compaction as a dialect of the gateway: that of responses, with another question and answer.

use schema::converse::response::ConverseResponse;

use super::{CompactionReply, CompactionRequest, CompactionResponse, answered, question};
use crate::chat::Defaults;
use crate::dialect::{
    Answered, Dialect, ErrorDialect, KnownState, Question, QuestionInput, RequestHead, StateFields,
    TagFields,
};
use crate::requested_format::Wanted;
use crate::responses::{ResponseStream, Responses};
use crate::spent::Spent;
use crate::{Invalid, Profile, Stamp};

/// `POST /v1/responses/compact`.
#[derive(Debug, Clone, Copy)]
pub struct Compact;

impl Dialect for Compact {
    const NAME: &'static str = "responses.compact";
    const CALL_TYPE: &'static str = "acompact_responses";
    const ID_PREFIX: &'static str = Responses::ID_PREFIX;
    const ERRORS: ErrorDialect = Responses::ERRORS;

    type Request<'a> = CompactionRequest<'a>;
    type Reply = CompactionReply;
    type Answer = CompactionResponse;
    type Stream = ResponseStream;

    fn shorten<'s, 'l: 's>(request: CompactionRequest<'l>) -> CompactionRequest<'s> {
        request.shortened()
    }

    fn head(compaction: &CompactionRequest<'_>) -> RequestHead {
        Responses::head(&compaction.request)
    }

    fn tags<'r>(compaction: &'r CompactionRequest<'_>) -> TagFields<'r> {
        Responses::tags(&compaction.request)
    }

    fn remove_tags(compaction: &mut CompactionRequest<'_>) {
        Responses::remove_tags(&mut compaction.request);
    }

    fn links(compaction: &CompactionRequest<'_>, most: usize) -> Vec<(String, String)> {
        Responses::links(&compaction.request, most)
    }

    fn fill_links<'a>(
        compaction: &mut CompactionRequest<'a>,
        content: &dyn Fn(&str) -> Option<&'a str>,
    ) {
        Responses::fill_links(&mut compaction.request, content);
    }

    fn item_ids<'r>(compaction: &'r CompactionRequest<'_>) -> Vec<&'r str> {
        Responses::item_ids(&compaction.request)
    }

    fn fill_items<'a>(
        compaction: &mut CompactionRequest<'a>,
        json: &dyn Fn(&str) -> Option<&'a str>,
    ) {
        Responses::fill_items(&mut compaction.request, json);
    }

    fn state<'r>(compaction: &'r CompactionRequest<'_>) -> StateFields<'r> {
        let state = Responses::state(&compaction.request);
        StateFields { may_store: false, is_background: false, ..state }
    }

    fn knows(compaction: &mut CompactionRequest<'_>, known: KnownState) {
        Responses::knows(&mut compaction.request, known);
    }

    fn complete<'a>(
        compaction: &mut CompactionRequest<'a>,
        defaults: &'a Defaults,
    ) -> Result<(), serde_json::Error> {
        Responses::complete(&mut compaction.request, defaults)
    }

    fn call_ids<'r>(compaction: &'r CompactionRequest<'_>) -> Vec<&'r str> {
        Responses::call_ids(&compaction.request)
    }

    fn ask_again<'a>(compaction: &mut CompactionRequest<'a>, answer: &'a str, complaint: &'a str) {
        Responses::ask_again(&mut compaction.request, answer, complaint);
    }

    fn question<'q>(
        compaction: &'q CompactionRequest<'_>,
        profile: &Profile,
        input: &QuestionInput<'q>,
    ) -> Result<Question<'q, CompactionReply>, Invalid> {
        question(compaction, profile, input)
    }

    fn wanted(reply: &CompactionReply) -> Option<&Wanted> {
        Responses::wanted(&reply.response)
    }

    fn answer(
        converse: &ConverseResponse<'_>,
        reply: &CompactionReply,
        stamp: Stamp,
    ) -> Answered<CompactionResponse> {
        answered(converse, reply, stamp)
    }

    fn flaw(answer: &CompactionResponse) -> Option<&'static str> {
        answer.flaw()
    }

    /// A summary has no form.
    fn checked_texts(_: &CompactionResponse) -> Vec<&str> {
        Vec::new()
    }

    fn gather(answers: Vec<CompactionResponse>, total: Spent) -> Option<CompactionResponse> {
        answers.into_iter().next().map(|answer| answer.at(total))
    }

    /// Summaries come whole; no request of this API asks for a stream.
    fn stream(reply: CompactionReply, stamp: Stamp, _: u32) -> ResponseStream {
        ResponseStream::new(reply.response, stamp)
    }
}
