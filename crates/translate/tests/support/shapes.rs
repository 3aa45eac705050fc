//! Requests of one size in the most expensive shapes: a cost beyond linear shows in at least one of
//! them.

use std::fmt::Write as _;

/// A model whose schemas need their references expanded.
const WRITTEN_OUT: &str = "amazon.nova-lite-v1:0";
/// A model with caching, reasoning, tools and images.
const PLAIN: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

/// A kind of request.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// The body, of about this many bytes.
    pub(crate) of: fn(usize) -> String,
}

/// All shapes.
pub(crate) const SHAPES: [Shape; 13] = [
    Shape { name: "text parts", of: text_parts },
    Shape { name: "marks", of: marks },
    Shape { name: "calls", of: calls },
    Shape { name: "long call ids", of: long_call_ids },
    Shape { name: "thoughts", of: thoughts },
    Shape { name: "unknown members", of: unknown_members },
    Shape { name: "nested unknown members", of: nested_unknown_members },
    Shape { name: "tools with references", of: tools_with_references },
    Shape { name: "wide tools", of: wide_tools },
    Shape { name: "a picture", of: picture },
    Shape { name: "pictures", of: pictures },
    Shape { name: "a long history", of: history },
    Shape { name: "a long text with escapes", of: escapes },
];

/// A list of items of about this many bytes.
fn list(bytes: usize, item: impl Fn(usize) -> String) -> String {
    let mut list = String::with_capacity(bytes + 1024);
    let mut at = 0;
    while list.len() < bytes {
        if at > 0 {
            list.push(',');
        }
        list.push_str(&item(at));
        at += 1;
    }
    list
}

fn asking(model: &str, messages: &str, more: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{messages}]{more}}}"#)
}

fn said(content: &str) -> String {
    format!(r#"{{"role":"user","content":{content}}}"#)
}

fn text_parts(bytes: usize) -> String {
    let parts = list(bytes, |at| format!(r#"{{"type":"text","text":"part {at}"}}"#));
    asking(PLAIN, &said(&format!("[{parts}]")), "")
}

fn marks(bytes: usize) -> String {
    let parts = list(bytes, |at| {
        format!(r#"{{"type":"text","text":"part {at}","cache_control":{{"type":"ephemeral"}}}}"#)
    });
    asking(PLAIN, &said(&format!("[{parts}]")), "")
}

/// Calls of one message, each with its result; the number of messages stays within the limit.
fn called(bytes: usize, id: impl Fn(usize) -> String) -> String {
    let results = 5_000;
    let call = |at: usize| {
        let id = id(at);
        format!(
            r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{\"n\":{at}}}"}}}}"#
        )
    };
    let calls = list(bytes, call);
    let mut messages = said("\"x\"");
    let _ = write!(messages, r#",{{"role":"assistant","content":null,"tool_calls":[{calls}]}}"#);
    for at in 0..results {
        let _ =
            write!(messages, r#",{{"role":"tool","tool_call_id":"{}","content":"{at}"}}"#, id(at));
    }
    asking(PLAIN, &messages, r#","tools":[{"type":"function","function":{"name":"f"}}]"#)
}

fn calls(bytes: usize) -> String {
    called(bytes, |at| format!("call_{at}"))
}

fn long_call_ids(bytes: usize) -> String {
    called(bytes, |at| format!("{}{at}", "x".repeat(70)))
}

fn thoughts(bytes: usize) -> String {
    let details = list(bytes / 2, |at| {
        format!(
            r#"{{"type":"reasoning.text","text":"thought {at}","signature":"c2lnbmF0dXJl","index":{at}}}"#
        )
    });
    let blocks = list(bytes / 2, |at| {
        format!(r#"{{"type":"thinking","thinking":"thought {at}","signature":"c2lnbmF0dXJl"}}"#)
    });
    let messages = format!(
        r#"{},{{"role":"assistant","content":"y","reasoning_details":[{details}]}},{},{{"role":"assistant","content":"y","thinking_blocks":[{blocks}]}},{}"#,
        said("\"x\""),
        said("\"x\""),
        said("\"z\""),
    );
    asking(PLAIN, &messages, "")
}

fn unknown_members(bytes: usize) -> String {
    let members = list(bytes, |at| format!(r#""m{at}":{at}"#));
    asking(PLAIN, &said("\"x\""), &format!(",{members}"))
}

fn nested_unknown_members(bytes: usize) -> String {
    let items = list(bytes, |at| format!(r#"{{"a":[{at},[],{{}}]}}"#));
    asking(PLAIN, &said("\"x\""), &format!(r#","unknown":[{items}]"#))
}

fn tools_with_references(bytes: usize) -> String {
    let defs: Vec<String> = (0..50)
        .map(|at| {
            let next = (at + 1) % 50;
            format!(
                r##""d{at}":{{"type":"object","properties":{{"a":{{"$ref":"#/$defs/d{next}"}}}}}}"##
            )
        })
        .collect();
    let tool = |at: usize| {
        let properties =
            list(100_000, |at| format!(r##""p{at}":{{"$ref":"#/$defs/d{}"}}"##, at % 50));
        let defs = defs.join(",");
        format!(
            r#"{{"type":"function","function":{{"name":"f{at}","parameters":{{"type":"object","properties":{{{properties}}},"$defs":{{{defs}}}}}}}}}"#
        )
    };
    let tools = list(bytes, tool);
    asking(WRITTEN_OUT, &said("\"x\""), &format!(r#","tools":[{tools}]"#))
}

fn wide_tools(bytes: usize) -> String {
    let tool = |at: usize| {
        let properties =
            list(100_000, |at| format!(r#""p{at}":{{"type":["string","null"],"default":null}}"#));
        format!(
            r#"{{"type":"function","function":{{"name":"f{at}","strict":true,"parameters":{{"type":"object","properties":{{{properties}}}}}}}}}"#
        )
    };
    let tools = list(bytes, tool);
    asking(PLAIN, &said("\"x\""), &format!(r#","tools":[{tools}]"#))
}

fn png(bytes: usize) -> String {
    let data = "AAAA".repeat(bytes / 4);
    format!(
        r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,iVBORw0KGgoA{data}"}}}}"#
    )
}

fn picture(bytes: usize) -> String {
    asking(PLAIN, &said(&format!("[{}]", png(bytes))), "")
}

fn pictures(bytes: usize) -> String {
    let parts = list(bytes, |_| png(bytes / 20));
    asking(PLAIN, &said(&format!("[{parts}]")), "")
}

fn history(bytes: usize) -> String {
    // The number of messages stays within the limit.
    let text = "word ".repeat(bytes / 9_000 / 5);
    let messages: Vec<String> = (0..9_000)
        .map(|at| {
            let role = if at % 2 == 0 { "user" } else { "assistant" };
            format!(r#"{{"role":"{role}","content":"{at} {text}"}}"#)
        })
        .collect();
    asking(PLAIN, &messages.join(","), "")
}

fn escapes(bytes: usize) -> String {
    let text = "\\n\\u00e9".repeat(bytes / 8);
    asking(PLAIN, &said(&format!("\"{text}\"")), "")
}
