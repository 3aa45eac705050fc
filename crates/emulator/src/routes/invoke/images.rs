//! Stability's image models over InvokeModel. The images are small PNGs of the asked proportions, in one shade of
//! grey that depends on the prompt and the seed; they are PNGs in every `output_format`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::fields::{members, string};
use crate::{delivery::Reply, error::Refusal, json::text, models::Model};

/// Members of each service's body, those that it needs first and marked.
const SERVICES: [(&str, &[&str]); 15] = [
    (
        "sd3-5-large",
        &[
            "!prompt",
            "mode",
            "negative_prompt",
            "aspect_ratio",
            "output_format",
            "seed",
            "image",
            "strength",
        ],
    ),
    ("stable-image-core", &["!prompt", "negative_prompt", "aspect_ratio", "output_format", "seed"]),
    (
        "stable-image-ultra",
        &["!prompt", "negative_prompt", "aspect_ratio", "output_format", "seed"],
    ),
    (
        "conservative-upscale",
        &["!image", "!prompt", "negative_prompt", "creativity", "seed", "output_format"],
    ),
    (
        "creative-upscale",
        &[
            "!image",
            "!prompt",
            "negative_prompt",
            "creativity",
            "seed",
            "style_preset",
            "output_format",
        ],
    ),
    ("fast-upscale", &["!image", "output_format"]),
    (
        "image-control",
        &[
            "!image",
            "!prompt",
            "negative_prompt",
            "control_strength",
            "seed",
            "style_preset",
            "output_format",
        ],
    ),
    ("erase-object", &["!image", "mask", "grow_mask", "seed", "output_format"]),
    (
        "image-inpaint",
        &[
            "!image",
            "!prompt",
            "mask",
            "negative_prompt",
            "grow_mask",
            "seed",
            "style_preset",
            "output_format",
        ],
    ),
    ("remove-background", &["!image", "output_format"]),
    (
        "search-recolor",
        &[
            "!image",
            "!prompt",
            "!select_prompt",
            "negative_prompt",
            "grow_mask",
            "seed",
            "style_preset",
            "output_format",
        ],
    ),
    (
        "search-replace",
        &[
            "!image",
            "!prompt",
            "!search_prompt",
            "negative_prompt",
            "grow_mask",
            "seed",
            "style_preset",
            "output_format",
        ],
    ),
    (
        "style-guide",
        &[
            "!image",
            "!prompt",
            "negative_prompt",
            "aspect_ratio",
            "fidelity",
            "seed",
            "style_preset",
            "output_format",
        ],
    ),
    (
        "stable-outpaint",
        &[
            "!image",
            "left",
            "right",
            "up",
            "down",
            "prompt",
            "creativity",
            "seed",
            "style_preset",
            "output_format",
        ],
    ),
    (
        "style-transfer",
        &[
            "!init_image",
            "!style_image",
            "prompt",
            "negative_prompt",
            "seed",
            "style_strength",
            "composition_fidelity",
            "change_strength",
            "output_format",
        ],
    ),
];
const RATIOS: [&str; 9] = ["16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21"];
/// Pixels for each unit of the proportions.
const UNIT: usize = 8;
/// A seed where none is given.
const SEED: u64 = 7;

/// Makes an image.
pub(super) fn answer(model: &Model, body: &Value) -> Result<Reply, Refusal> {
    let service = SERVICES.iter().find(|(name, _)| model.id.contains(name));
    let listed = service.map_or(&[][..], |(_, listed)| *listed);
    let known: Vec<&str> = listed.iter().map(|name| name.trim_start_matches('!')).collect();
    members(body, &known)?;
    for needed in listed.iter().filter_map(|name| name.strip_prefix('!')) {
        string(body, needed)?;
    }
    for name in ["image", "mask", "init_image", "style_image"] {
        if body.get(name).is_some() && STANDARD.decode(text(body, name)).is_err() {
            return Err(Refusal::malformed(&format!("#/{name}"), "expected base64"));
        }
    }
    let webp = !model.id.contains("sd3-5");
    match text(body, "output_format") {
        "" | "png" | "jpeg" => {}
        "webp" if webp => {}
        other => {
            let problem = format!("{other} is not a valid enum value");
            return Err(Refusal::malformed("#/output_format", &problem));
        }
    }
    let ratio = body.get("aspect_ratio").map_or("1:1", |_| text(body, "aspect_ratio"));
    if !RATIOS.contains(&ratio) {
        let problem = format!("{ratio} is not a valid enum value");
        return Err(Refusal::malformed("#/aspect_ratio", &problem));
    }
    if text(body, "mode") == "image-to-image" && body.get("strength").is_none() {
        return Err(Refusal::malformed("#", "required key [strength] not found"));
    }
    let seed = body.get("seed").and_then(Value::as_u64).unwrap_or(SEED);
    let shade = text(body, "prompt")
        .bytes()
        .fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let shade = u8::try_from(shade % 256).unwrap_or_default();
    let sides: Vec<usize> = ratio.split(':').filter_map(|side| side.parse().ok()).collect();
    let side = |at: usize| sides.get(at).copied().unwrap_or(1) * UNIT;
    let image = STANDARD.encode(png(side(0), side(1), shade));
    let body = json!({ "seeds": [seed], "finish_reasons": [null], "images": [image] });
    Ok(Reply::bytes(200, "application/json", body.to_string().into_bytes().into()))
}

/// A PNG of one shade, whose content is stored without compression.
fn png(width: usize, height: usize, shade: u8) -> Vec<u8> {
    let side = |side: usize| u32::try_from(side).unwrap_or(1).to_be_bytes();
    let mut header = Vec::with_capacity(13);
    header.extend_from_slice(&side(width));
    header.extend_from_slice(&side(height));
    // Eight bits of grey, no interlacing.
    header.extend_from_slice(&[8, 0, 0, 0, 0]);
    let mut row = vec![0];
    row.resize(width + 1, shade);
    let raw = row.repeat(height);
    let length = u16::try_from(raw.len()).unwrap_or(u16::MAX);
    let mut data = vec![0x78, 0x01, 0x01];
    data.extend_from_slice(&length.to_le_bytes());
    data.extend_from_slice(&(!length).to_le_bytes());
    data.extend_from_slice(&raw);
    data.extend_from_slice(&adler(&raw).to_be_bytes());
    let mut image = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in [(b"IHDR", header), (b"IDAT", data), (b"IEND", Vec::new())] {
        let mut chunk = kind.to_vec();
        chunk.extend_from_slice(&content);
        image.extend_from_slice(&u32::try_from(content.len()).unwrap_or_default().to_be_bytes());
        image.extend_from_slice(&chunk);
        image.extend_from_slice(&crc32fast::hash(&chunk).to_be_bytes());
    }
    image
}

/// The checksum of zlib.
fn adler(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut low, mut high) = (1, 0);
    for byte in bytes {
        low = (low + u32::from(*byte)) % MODULUS;
        high = (high + low) % MODULUS;
    }
    (high << 16) | low
}
