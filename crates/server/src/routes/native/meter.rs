//! Billing of a native call: the usage that its answer states, the pieces of its request, the images that were made,
//! and the units of a guardrail.

use bytes::Bytes;
use http::HeaderMap;
use routing::catalogue::{Catalogue, ModelOverrides};

use crate::call_price::CallPrice;
use crate::native::image_count::ImageCount;
use crate::native::tap::Tap;
use crate::pieces::Pieces;
use crate::request::context::RequestContext;

/// The operation of models that are billed by pieces.
pub(super) const INVOKES: &str = "InvokeModel";
/// The operation that checks texts by a guardrail.
pub(super) const APPLIES_GUARDRAIL: &str = "ApplyGuardrail";

/// The price of a call of `Rerank`, whose body names the model.
pub(super) fn reranker(catalogue: &Catalogue, body: &[u8]) -> Option<CallPrice> {
    let (pieces, arn) = Pieces::of_rerank(body)?;
    let model = catalogue.resolve(&arn, &ModelOverrides::default());
    Some(CallPrice::of(&model).with(pieces))
}

/// Reads what an answer is billed for.
pub(super) struct Meter {
    pub(super) tap: Tap,
    price: Option<CallPrice>,
    images: Option<ImageCount>,
    is_guardrail: bool,
}

impl Meter {
    /// Begins with the headers of an answer.
    pub(super) fn of(headers: &HeaderMap, operation: &str, price: Option<CallPrice>) -> Self {
        let makes_images = price.as_ref().is_some_and(CallPrice::makes_images);
        Self {
            tap: Tap::of(headers),
            price,
            images: makes_images.then(ImageCount::default),
            is_guardrail: operation == APPLIES_GUARDRAIL,
        }
    }

    /// Reads a piece.
    pub(super) fn see(&mut self, piece: &Bytes) {
        self.tap.see(piece);
        if let Some(images) = &mut self.images {
            images.see(piece);
        }
    }

    /// Settles the usage at the end of the answer.
    pub(super) fn settle(&mut self, context: &mut RequestContext) {
        let tap = std::mem::replace(&mut self.tap, Tap::Blind);
        if self.is_guardrail
            && let Some(units) = tap.guardrail_units()
        {
            context.settlement().guardrail(units);
        }
        let spent = tap.finish();
        let Some(mut price) = self.price.take() else { return context.settle(spent) };
        if let Some(images) = self.images.take() {
            price.made(images.count());
            context.is_priced_by(&price);
        }
        context.settle(price.priced_answer(spent));
    }
}
