//! Query strings of admin requests. Unknown parameters are ignored; keys in them are not logged.

use access::store::RecordQuery;
use serde_json::json;
use url::form_urlencoded;

use super::error::{AdminRefusal, FieldFault};

/// The parameters of a query string, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::routes) struct AdminQuery(Vec<(String, String)>);

/// A page of a list, as a request asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageAsk {
    /// The number, from 1.
    pub(super) page: u64,
    /// Most rows.
    pub(super) size: u64,
}

impl AdminQuery {
    /// Reads a query string.
    pub(super) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The value of a parameter; an empty one is absent.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(found, _)| found == name)?;
        (!value.is_empty()).then_some(value)
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    /// It is missing.
    pub(super) fn require(&self, name: &str) -> Result<&str, AdminRefusal> {
        let missing = || AdminRefusal::unprocessable(&[FieldFault::missing("query", name)]);
        self.text(name).ok_or_else(missing)
    }

    /// A parameter that is true or false.
    ///
    /// # Errors
    /// It is neither.
    pub(super) fn flag(&self, name: &str) -> Result<bool, AdminRefusal> {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "0" | "no" | "off" | "f" | "n") => Ok(false),
            Some("true" | "1" | "yes" | "on" | "t" | "y") => Ok(true),
            Some(_) => {
                let msg = "Input should be a valid boolean, unable to interpret input";
                Err(wrong(name, "bool_parsing", msg))
            }
        }
    }

    /// A number from `least` to `most`.
    ///
    /// # Errors
    /// It is none of these.
    pub(super) fn number(
        &self,
        name: &str,
        (least, most): (u64, u64),
    ) -> Result<Option<u64>, AdminRefusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let Ok(number) = text.parse::<u64>() else {
            let msg = "Input should be a valid integer, unable to parse string as an integer";
            return Err(wrong(name, "int_parsing", msg));
        };
        if number < least {
            let msg = format!("Input should be greater than or equal to {least}");
            return Err(wrong(name, "greater_than_equal", &msg));
        }
        if number > most {
            let msg = format!("Input should be less than or equal to {most}");
            return Err(wrong(name, "less_than_equal", &msg));
        }
        Ok(Some(number))
    }

    /// Whether `sort_order` asks for the smallest first.
    ///
    /// # Errors
    /// It is no order.
    pub(super) fn is_ascending(&self) -> Result<bool, AdminRefusal> {
        match self.text("sort_order") {
            None | Some("desc") => Ok(false),
            Some("asc") => Ok(true),
            Some(other) => {
                let message = format!("Invalid sort order '{other}'. Use asc or desc.");
                Err(AdminRefusal::bad(message).param("sort_order"))
            }
        }
    }

    /// The page that is asked for; `size` names the parameter of its size, which is at most `most`.
    ///
    /// # Errors
    /// A number is out of bounds.
    pub(super) fn page(
        &self,
        size: &str,
        (usual, most): (u64, u64),
    ) -> Result<PageAsk, AdminRefusal> {
        let page = self.number("page", (1, u64::from(u32::MAX)))?.unwrap_or(1);
        let size = self.number(size, (1, most))?.unwrap_or(usual);
        Ok(PageAsk { page, size })
    }
}

impl PageAsk {
    /// Rows before the page.
    pub(super) fn offset(self) -> u64 {
        (self.page - 1).saturating_mul(self.size)
    }

    /// The number of pages that so many rows fill.
    pub(super) fn pages(self, total: u64) -> u64 {
        total.div_ceil(self.size)
    }

    /// The page of a question to the store.
    pub(super) fn of(self, query: RecordQuery) -> RecordQuery {
        let offset = (self.page - 1).saturating_mul(self.size);
        RecordQuery { offset, limit: self.size, ..query }
    }

    /// The rows of the page, out of all of them.
    pub(super) fn cut<T>(self, rows: Vec<T>) -> Vec<T> {
        let bound = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        rows.into_iter().skip(bound(self.offset())).take(bound(self.size)).collect()
    }
}

fn wrong(name: &str, kind: &'static str, msg: &str) -> AdminRefusal {
    let fault = FieldFault {
        kind,
        loc: vec![json!("query"), json!(name)],
        msg: msg.to_owned(),
        input: None,
    };
    AdminRefusal::unprocessable(&[fault])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_bounded() {
        let query =
            AdminQuery::parse("key=sk-a%2Fb%3D&page=3&size=20&x=1&status=&flag=True&bad=-1");
        assert_eq!(query.text("key"), Some("sk-a/b="));
        assert_eq!(query.text("status"), None);
        assert!(query.flag("flag").unwrap() && !query.flag("none").unwrap());
        let page = query.page("size", (10, 100)).unwrap();
        assert_eq!((page.page, page.pages(41), page.pages(0)), (3, 3, 0));
        assert_eq!(page.cut((0..50).collect()), (40..50).collect::<Vec<_>>());
        for refusal in [
            query.flag("page").unwrap_err(),
            query.number("bad", (0, 9)).unwrap_err(),
            query.page("size", (10, 19)).unwrap_err(),
        ] {
            assert!(refusal.message().starts_with("query."), "{}", refusal.message());
        }
    }
}
