//! The file in our own shape.

use super::fields::Fields;
use super::{
    Config, MIB, browser, catalogue, master_key, media, models, moderation, structured,
    thinking_memory, values,
};
use crate::tls::TlsFiles;

/// Reads every key there is.
pub(super) fn read(mut root: Fields<'_>, config: &mut Config) {
    root.set("listen", &mut config.listen, values::address);
    root.set("allow_anonymous", &mut config.allow_anonymous, values::boolean);
    master_key::read(&mut root, config);
    root.set("workers", &mut config.workers, |node| values::count(node).map(Some));
    tls(&mut root, config);
    root.set("region", &mut config.region, |node| values::region(node).map(Some));
    root.set("profile", &mut config.profile, |node| values::text(node).map(Some));
    root.section("timeouts", |section| {
        section.set("connect", &mut config.timeouts.connect, values::span);
        section.set("first_byte_stream", &mut config.timeouts.first_byte_stream, values::limit);
        section.set("first_byte", &mut config.timeouts.first_byte_unary, values::limit);
        section.set("idle", &mut config.timeouts.idle, values::limit);
        section.set("total", &mut config.timeouts.total, values::limit);
        section.set("keep_alive", &mut config.keep_alive, values::limit);
        section.set("write_stall", &mut config.write_stall, values::limit);
    });
    root.section("body", |section| {
        let mut mib = config.body.size / MIB;
        section.set("max_mib", &mut mib, values::mib);
        config.body.size = mib.saturating_mul(MIB);
        section.set("idle", &mut config.body.idle, values::limit);
        section.set("total", &mut config.body.total, values::limit);
    });
    root.section("chat", |section| {
        section.set("most_choices", &mut config.chat.most_choices, |value| {
            values::whole(value, 1..=128, "a whole number from 1 to 128")
        });
    });
    root.section("embeddings", |section| {
        section.set("concurrency", &mut config.embeddings.concurrency, values::count);
    });
    browser::read(&mut root, &mut config.browser);
    media::read(&mut root, &mut config.media);
    thinking_memory::read(&mut root, config);
    moderation::read(&mut root, &mut config.moderation);
    structured::read(&mut root, &mut config.structured);
    models::read(&mut root, &mut config.models);
    catalogue::read(&mut root, &mut config.models.naming.rows);
    root.section("native", |section| {
        section.set("root", &mut config.native_root, values::boolean);
        section.set("services", &mut config.native_services, values::services);
        section.set("s3", &mut config.native_s3, values::native_s3);
        section.set("errors", &mut config.native_errors, values::native_errors);
        section.set("other_models", &mut config.other_models, values::other_models);
    });
    root.section("shutdown", |section| {
        section.set("delay", &mut config.drain_delay, values::seconds);
        section.set("timeout", &mut config.drain_timeout, values::seconds);
    });
    root.finish();
}

fn tls(root: &mut Fields<'_>, config: &mut Config) {
    let line = root.line("tls");
    let (mut certificate, mut key) = (None, None);
    root.section("tls", |section| {
        section.set("certificate", &mut certificate, |node| values::path(node).map(Some));
        section.set("key", &mut key, |node| values::path(node).map(Some));
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
