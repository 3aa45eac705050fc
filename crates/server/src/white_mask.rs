//! Masks of images: OpenAI's are transparent where an image is edited, those of the models here are white there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use png::{BitDepth, ColorType, Decoder, Encoder, Transformations};

/// Most pixels of a mask, those of the largest image that the models take, and some more.
const PIXELS: u64 = 10_000_000;
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A mask that is white where the given one is transparent, both in base64. A mask without transparency, or in
/// another format than PNG, stays as it is: `None`.
///
/// # Errors
/// It is a broken PNG, no base64, or too large, in words for the caller.
pub(crate) fn white_mask(mask: &str) -> Result<Option<String>, String> {
    let bytes = STANDARD.decode(mask).map_err(|_| "it is not valid base64".to_owned())?;
    if !bytes.starts_with(SIGNATURE) {
        return Ok(None);
    }
    let broken = |error: png::DecodingError| format!("it is no valid PNG: {error}");
    let mut decoder = Decoder::new(std::io::Cursor::new(&bytes));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(broken)?;
    let (width, height) = (reader.info().width, reader.info().height);
    if u64::from(width) * u64::from(height) > PIXELS {
        return Err(format!("it has more than {PIXELS} pixels"));
    }
    let channels = match reader.output_color_type() {
        (ColorType::Rgba, BitDepth::Eight) => 4,
        (ColorType::GrayscaleAlpha, BitDepth::Eight) => 2,
        _ => return Ok(None),
    };
    let size = reader.output_buffer_size().ok_or("it is too large")?;
    let mut pixels = vec![0; size];
    reader.next_frame(&mut pixels).map_err(broken)?;
    let alphas = pixels.chunks_exact(channels).filter_map(|pixel| pixel.last());
    let white: Vec<u8> = alphas.map(|alpha| u8::MAX - alpha).collect();
    if white.iter().all(|value| *value == 0) {
        // Opaque everywhere: its colours say where the image is edited.
        return Ok(None);
    }
    let mut written = Vec::with_capacity(white.len() / 8 + 128);
    let mut encoder = Encoder::new(&mut written, width, height);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    let unwritten = |error: png::EncodingError| format!("it cannot be converted: {error}");
    let mut writer = encoder.write_header().map_err(unwritten)?;
    writer.write_image_data(&white).map_err(unwritten)?;
    writer.finish().map_err(unwritten)?;
    Ok(Some(STANDARD.encode(written)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(color: ColorType, pixels: &[u8]) -> String {
        let mut written = Vec::new();
        let mut encoder = Encoder::new(&mut written, 2, 1);
        encoder.set_color(color);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(pixels).unwrap();
        writer.finish().unwrap();
        STANDARD.encode(written)
    }

    #[test]
    fn transparent_pixels_become_white() {
        for mask in [
            image(ColorType::Rgba, &[9, 9, 9, 0, 7, 7, 7, 255]),
            image(ColorType::GrayscaleAlpha, &[9, 0, 7, 255]),
        ] {
            let white = STANDARD.decode(white_mask(&mask).unwrap().unwrap()).unwrap();
            let mut reader = Decoder::new(std::io::Cursor::new(&white)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            assert_eq!(pixels, [255, 0]);
        }
    }

    #[test]
    fn masks_without_transparency_stay() {
        for mask in [
            image(ColorType::Rgb, &[0, 0, 0, 255, 255, 255]),
            image(ColorType::Rgba, &[0, 0, 0, 255, 255, 255, 255, 255]),
            STANDARD.encode(b"\xff\xd8\xff a JPEG"),
        ] {
            assert_eq!(white_mask(&mask), Ok(None));
        }
    }

    #[test]
    fn broken_masks_are_errors() {
        let whole = STANDARD.decode(image(ColorType::Rgba, &[0; 8])).unwrap();
        for mask in ["?".to_owned(), STANDARD.encode(&whole[..20]), STANDARD.encode(&whole[..50])] {
            assert!(white_mask(&mask).is_err(), "{mask}");
        }
        // A head that promises more pixels than any model takes.
        let mut large = whole;
        large[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
        large[20..24].copy_from_slice(&100_000_u32.to_be_bytes());
        assert!(white_mask(&STANDARD.encode(&large)).is_err());
    }
}
