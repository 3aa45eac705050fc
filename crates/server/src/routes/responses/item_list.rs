//! Lists of items, a page at a time, the last item first by default.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use translate::Invalid;

use crate::routes::page_limit;

/// Items on a page, by default and at most.
const USUAL: usize = 20;
const MOST: usize = 100;

/// The query of a list of items.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ItemPage {
    after: Option<String>,
    limit: Option<String>,
    order: Option<String>,
}

/// A page of items.
#[derive(Debug, Serialize)]
pub(crate) struct ItemList {
    object: &'static str,
    data: Vec<Value>,
    first_id: Option<Value>,
    last_id: Option<Value>,
    has_more: bool,
}

impl ItemPage {
    /// The page of these items.
    ///
    /// # Errors
    /// The query is not valid, or no item has the id in it.
    pub(crate) fn of(&self, mut items: Vec<Value>) -> Result<ItemList, Invalid> {
        match self.order.as_deref() {
            None | Some("desc") => items.reverse(),
            Some("asc") => {}
            Some(_) => return Err(Invalid::value("order", "order must be asc or desc.")),
        }
        let limit = page_limit::of(self.limit.as_deref(), USUAL, MOST)?;
        if let Some(after) = self.after.as_deref() {
            let at = items.iter().position(|item| item.get("id").is_some_and(|id| id == after));
            let at = at.ok_or_else(|| Invalid::value("after", "No item has this id."))?;
            items.drain(..=at);
        }
        let has_more = items.len() > limit;
        items.truncate(limit);
        Ok(ItemList { has_more, ..ItemList::whole(items) })
    }
}

impl ItemList {
    /// A list of all these items, in their order.
    pub(crate) fn whole(data: Vec<Value>) -> Self {
        let id = |item: Option<&Value>| item.and_then(|item| item.get("id")).cloned();
        let (first_id, last_id) = (id(data.first()), id(data.last()));
        Self { object: "list", data, first_id, last_id, has_more: false }
    }
}
