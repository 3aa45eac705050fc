//! The file in Outcrop's own format.

use super::section::Section;
use super::{
    Config, UsageCost, accounts, browser, catalogue, file_store, json_schema, lifecycle, log,
    master_key, media, models, moderation, parsers, reasoning_store, response_cache, responses,
    socket, telemetry, timeouts,
};
use crate::tls::TlsFiles;

/// Reads every key of the format.
pub(super) fn read(mut root: Section<'_>, config: &mut Config) {
    root.set("listen", &mut config.listen, parsers::address);
    socket::read(&mut root, config);
    root.set("allow_anonymous", &mut config.allow_anonymous, parsers::boolean);
    master_key::read(&mut root, config);
    accounts::read(&mut root, config);
    telemetry::read(&mut root, &mut config.telemetry);
    log::read(&mut root, &mut config.log);
    root.set("workers", &mut config.workers, |node| parsers::count(node).map(Some));
    tls(&mut root, config);
    root.set("region", &mut config.region, |node| parsers::region(node).map(Some));
    root.set("profile", &mut config.profile, |node| parsers::text(node).map(Some));
    timeouts::read(&mut root, &mut config.timeouts);
    root.section("body", |section| {
        section.set("max_mib", &mut config.body.max_mib, parsers::mib);
        section.set("idle", &mut config.body.idle, parsers::limit);
        section.set("total", &mut config.body.total, parsers::limit);
        section.set("min_rate", &mut config.body.min_rate, |value| {
            parsers::whole(value, 0..=1_048_576, "a whole number of bytes a second up to 1048576")
        });
    });
    root.section("chat", |section| {
        section.set("most_choices", &mut config.chat.most_choices, |value| {
            parsers::whole(value, 1..=128, "a whole number from 1 to 128")
        });
        section.set("usage_cost", &mut config.chat.usage_cost, |value| {
            parsers::boolean(value).map(|is| if is { UsageCost::Shown } else { UsageCost::Hidden })
        });
    });
    root.section("embeddings", |section| {
        section.set("concurrency", &mut config.embeddings.concurrency, parsers::count);
    });
    browser::read(&mut root, config);
    media::read(&mut root, &mut config.media);
    reasoning_store::read(&mut root, &mut config.thinking_memory);
    responses::read(&mut root, &mut config.responses);
    response_cache::read(&mut root, &mut config.response_cache);
    file_store::read(&mut root, config);
    moderation::read(&mut root, &mut config.moderation);
    json_schema::read(&mut root, &mut config.structured_output);
    models::read(&mut root, config);
    catalogue::read(&mut root, &mut config.catalogue);
    root.section("native", |section| {
        section.set("root", &mut config.native.root, parsers::boolean);
        section.set("services", &mut config.native.services, parsers::services);
        section.set("s3", &mut config.native.s3, parsers::native_s3);
        section.set("errors", &mut config.native.errors, parsers::native_errors);
        section.set("other_models", &mut config.native.other_models, parsers::other_models);
    });
    lifecycle::shutdown(&mut root, &mut config.shutdown);
    lifecycle::overload(&mut root, &mut config.overload);
    root.finish();
}

fn tls(root: &mut Section<'_>, config: &mut Config) {
    let line = root.line("tls");
    let (mut certificate, mut key) = (None, None);
    root.section("tls", |section| {
        section.set("certificate", &mut certificate, |node| parsers::path(node).map(Some));
        section.set("key", &mut key, |node| parsers::path(node).map(Some));
    });
    config.tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let message = "tls needs both a certificate and a key".to_owned();
            root.reading.complain(line.unwrap_or(1), message, "name two PEM files");
            None
        }
    };
}
