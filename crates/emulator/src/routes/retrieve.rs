//! `Retrieve` of bedrock-agent-runtime: the passages of one small knowledge base about rocks, with filters on
//! their metadata.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::{
    Request, State,
    scripted::{Scripted, scripted},
};
use crate::{delivery::Reply, error::Refusal, faults, json::text, model::embed};

/// The knowledge base of this account.
const KNOWLEDGE_BASE: &str = "EMULATORKB";
/// Results of a call that does not say, and the most.
const USUAL: u64 = 5;
const MOST: u64 = 100;
/// Dimensions of the vectors that are compared.
const DIMENSIONS: usize = 256;

/// A document: its name, its text, its kind of rock, the year it was described in.
type Document = (&'static str, &'static str, &'static str, u64);

const DOCUMENTS: [Document; 6] = [
    (
        "basalt.txt",
        "Basalt is a dark volcanic rock that forms when lava cools fast at the surface.",
        "igneous",
        1998,
    ),
    (
        "granite.txt",
        "Granite is a coarse rock of quartz and feldspar that cools slowly below the ground.",
        "igneous",
        2004,
    ),
    (
        "marble.md",
        "Marble is limestone that heat and pressure have changed; sculptors carve it.",
        "metamorphic",
        2011,
    ),
    ("slate.md", "Slate splits into thin sheets and covers roofs.", "metamorphic", 2016),
    (
        "sandstone.pdf",
        "Sandstone is made of grains of sand that water and wind have laid down in layers.",
        "sedimentary",
        2019,
    ),
    ("chalk.pdf", "Chalk is a soft white limestone of tiny shells.", "sedimentary", 2023),
];

/// The members of a document's metadata.
fn metadata((name, _, kind, year): &Document) -> Value {
    json!({
        "kind": kind,
        "year": year,
        "authors": ["A. Mason", "B. Quarry"],
        "x-amz-bedrock-kb-source-uri": uri(name),
    })
}

fn uri(name: &str) -> String {
    format!("s3://emulator-rocks/field-guide/{name}")
}

/// Answers a Retrieve request.
pub(super) fn answer(state: &State, request: &Request<'_>, id: &str) -> Result<Reply, Refusal> {
    let fault = match scripted(state, id, None)? {
        Scripted::Usual(fault) => fault,
        Scripted::Bytes(reply) | Scripted::Text(reply) => return Ok(reply),
        Scripted::Answer(answer) => return Ok(Reply::json(200, &answer)),
        Scripted::Events(events) => return Ok(Reply::json(200, &Value::from(events))),
    };
    let reply = retrieved(request, id)?;
    Ok(fault.iter().fold(reply, |reply, fault| faults::apply(fault, reply)))
}

fn retrieved(request: &Request<'_>, id: &str) -> Result<Reply, Refusal> {
    if id != KNOWLEDGE_BASE {
        return Err(Refusal::new(
            404,
            "ResourceNotFoundException",
            format!("Knowledge Base with id {id} does not exist"),
        ));
    }
    let body = request.json()?;
    for key in body.as_object().into_iter().flat_map(serde_json::Map::keys) {
        let known =
            ["retrievalQuery", "retrievalConfiguration", "guardrailConfiguration", "nextToken"];
        if !known.contains(&key.as_str()) {
            return Err(Refusal::validation(format!("The member {key} is unknown.")));
        }
    }
    let asked = body.get("retrievalQuery").unwrap_or(&Value::Null);
    let image = asked.get("image").filter(|_| text(asked, "type") == "IMAGE");
    let formats = ["png", "jpeg", "gif", "webp"];
    if image.is_some_and(|image| !formats.contains(&text(image, "format"))) {
        return Err(Refusal::validation("The format of the image is not supported."));
    }
    let query = image.map_or(text(asked, "text"), |image| text(image, "inlineContent"));
    if query.is_empty() {
        return Err(Refusal::validation(
            "1 validation error detected: Value at 'retrievalQuery' failed to satisfy constraint: Member must not be null",
        ));
    }
    let search = body.pointer("/retrievalConfiguration/vectorSearchConfiguration");
    let count = search.and_then(|search| search.get("numberOfResults"));
    let count = count.map_or(Some(USUAL), Value::as_u64);
    let count = count.filter(|count| (1..=MOST).contains(count)).ok_or_else(|| {
        Refusal::validation(
            "1 validation error detected: Value at 'numberOfResults' must be from 1 to 100",
        )
    })?;
    let filter = search.and_then(|search| search.get("filter"));
    let asked = embed::vector(query, DIMENSIONS);
    let mut found = Vec::new();
    for document in &DOCUMENTS {
        if filter.map_or(Ok(true), |filter| fits(filter, &metadata(document)))? {
            let vector = embed::vector(document.1, DIMENSIONS);
            let cosine: f64 = vector.iter().zip(&asked).map(|(one, other)| one * other).sum();
            found.push((f64::midpoint(cosine, 1.0), document));
        }
    }
    found.sort_by(|one, other| other.0.total_cmp(&one.0));
    let count = usize::try_from(count).unwrap_or_default();
    let results: Vec<Value> = found
        .into_iter()
        .take(count)
        .map(|(score, document)| {
            json!({
                "content": { "type": "TEXT", "text": document.1 },
                "location": { "type": "S3", "s3Location": { "uri": uri(document.0) } },
                "metadata": metadata(document),
                "score": score,
            })
        })
        .collect();
    Ok(Reply::json(200, &json!({ "retrievalResults": results })))
}

/// Whether metadata fulfils a filter: an object with one member.
fn fits(filter: &Value, metadata: &Value) -> Result<bool, Refusal> {
    let invalid = || Refusal::validation("The filter is not valid.");
    let members = filter.as_object().filter(|members| members.len() == 1);
    let (operator, operand) =
        members.and_then(|members| members.iter().next()).ok_or_else(invalid)?;
    if matches!(operator.as_str(), "andAll" | "orAll") {
        let parts = operand.as_array().filter(|parts| parts.len() > 1).ok_or_else(invalid)?;
        let parts = parts.iter().map(|part| fits(part, metadata)).collect::<Result<Vec<_>, _>>()?;
        return Ok(if operator == "andAll" {
            parts.iter().all(|is| *is)
        } else {
            parts.contains(&true)
        });
    }
    let (Some(value), key) = (operand.get("value"), text(operand, "key")) else {
        return Err(invalid());
    };
    let own = metadata.get(key).unwrap_or(&Value::Null);
    let compared = compared(own, value);
    let listed = |value: &Value| value.as_array().map(|values| values.contains(own));
    Ok(match operator.as_str() {
        "equals" => own == value,
        "notEquals" => own != value,
        "greaterThan" => compared == Some(Ordering::Greater),
        "greaterThanOrEquals" => compared.is_some_and(Ordering::is_ge),
        "lessThan" => compared == Some(Ordering::Less),
        "lessThanOrEquals" => compared.is_some_and(Ordering::is_le),
        "in" => listed(value).ok_or_else(invalid)?,
        "notIn" => !listed(value).ok_or_else(invalid)?,
        _ => return Err(invalid()),
    })
}

fn compared(own: &Value, value: &Value) -> Option<Ordering> {
    own.as_f64()?.partial_cmp(&value.as_f64()?)
}
