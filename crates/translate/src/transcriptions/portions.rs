//! Portions of a recording that is longer than a call takes. The samples of a WAV file can be cut apart without a
//! codec, so such a recording becomes several calls; each portion but the first begins in the quietest moment before
//! its nominal place, so that words are rarely cut.

use super::FILE;
use crate::Invalid;
use crate::parts::media::base64;

/// Most bytes of a recording in one call: in base64 they fit in the service's largest body.
const WHOLE_BYTES: usize = 17_500_000;
/// Longest recording in one call, in seconds: models that hear take about half an hour.
const WHOLE_SECONDS: usize = 28 * 60;
/// Bytes and seconds from one nominal cut to the next.
const PORTION_BYTES: usize = 14_000_000;
const PORTION_SECONDS: usize = 20 * 60;
/// Seconds before a nominal cut in which a quiet moment is looked for.
const SEARCHED_SECONDS: usize = 8;
/// Moments in a second.
const MOMENTS: usize = 50;
/// Bytes of a WAV header besides the description of its samples: RIFF, its size and WAVE, and the heads of two chunks.
const HEADER: usize = 12 + 8 + 8;

/// A WAV file that can be cut.
#[derive(Debug)]
struct Wav {
    /// The description of the samples, as it stands in the file.
    format: Vec<u8>,
    /// Place and length of the samples.
    start: usize,
    length: usize,
    /// Bytes of one sample of all channels.
    frame: usize,
    /// Bytes of one sample of one channel, if they are whole numbers.
    sample: Option<usize>,
    /// Bytes of a second.
    rate: usize,
}

/// Number of calls that a recording in base64 needs.
pub(super) fn count(data: &str) -> usize {
    Wav::long(data).map_or(1, |wav| wav.length.div_ceil(wav.portion()))
}

/// The portion of a recording in base64; `None` if it is one call.
///
/// # Errors
/// The recording is too large for a call, and cannot be cut.
pub(super) fn of(data: &str, index: usize) -> Result<Option<String>, Invalid> {
    let Some(wav) = Wav::long(data) else {
        return if base64::decoded_len(data) > WHOLE_BYTES {
            Err(too_large(data))
        } else {
            Ok(None)
        };
    };
    let (from, to) = (wav.cut(data, index), wav.cut(data, index + 1));
    let samples = base64::range(data, wav.start + from..wav.start + to);
    let mut file = Vec::with_capacity(HEADER + wav.format.len() + samples.len());
    let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    file.extend(b"RIFF");
    file.extend(size(HEADER - 8 + wav.format.len() + samples.len()));
    file.extend(b"WAVEfmt ");
    file.extend(size(wav.format.len()));
    file.extend(&wav.format);
    file.extend(b"data");
    file.extend(size(samples.len()));
    file.extend(samples);
    Ok(Some(base64::encode(&file)))
}

fn too_large(data: &str) -> Invalid {
    let length = base64::decoded_len(data);
    let message = format!(
        "The recording has {length} bytes; {WHOLE_BYTES} fit in a call. Only WAV with plain samples is cut into portions here: send that, a lower bit rate, or portions of your own."
    );
    Invalid::value(FILE, message).with_code("file_too_large")
}

impl Wav {
    /// The file, if it is longer than a call takes.
    fn long(data: &str) -> Option<Self> {
        let wav = Self::read(data)?;
        let is_long = base64::decoded_len(data) > WHOLE_BYTES
            || wav.length > wav.rate.saturating_mul(WHOLE_SECONDS);
        is_long.then_some(wav)
    }

    fn read(data: &str) -> Option<Self> {
        let head = base64::head(data);
        let is_wav = head.get(..4)? == b"RIFF" && head.get(8..12)? == b"WAVE";
        if !is_wav {
            return None;
        }
        let (mut at, mut format) = (12, None);
        loop {
            let name = head.get(at..at + 4)?;
            let size = usize::try_from(number::<4>(&head, at + 4)?).ok()?;
            let start = at + 8;
            if name == b"data" {
                let format: Vec<u8> = format?;
                let rest = base64::decoded_len(data).checked_sub(start)?;
                // Programs that write as they record leave the size at 0 or at the most that it can be.
                let length = if size == 0 { rest } else { size.min(rest) };
                return Self::described(format, start, length);
            }
            if name == b"fmt " {
                format = Some(head.get(start..start.checked_add(size)?)?.to_vec());
            }
            at = start.checked_add(size)?.checked_next_multiple_of(2)?;
        }
    }

    fn described(format: Vec<u8>, start: usize, length: usize) -> Option<Self> {
        // Whole numbers, fractions, and the two logarithmic forms of telephones: samples of one size each.
        let tag = match number::<2>(&format, 0)? {
            0xFFFE => number::<2>(&format, 24)?,
            tag => tag,
        };
        let bits = number::<2>(&format, 14)?;
        let (rate, frame) = (number::<4>(&format, 4)?, number::<2>(&format, 12)?);
        let frame = usize::try_from(frame).ok()?;
        let rate = usize::try_from(rate).ok()?.checked_mul(frame)?;
        let sample = (tag == 1 && matches!(bits, 8 | 16 | 24 | 32))
            .then(|| usize::try_from(bits / 8).unwrap_or(1));
        let is_fixed = matches!(tag, 1 | 3 | 6 | 7) && frame > 0 && rate > 0;
        let length = length - length.checked_rem(frame)?;
        is_fixed.then_some(Self { format, start, length, frame, sample, rate })
    }

    /// Bytes from one nominal cut to the next.
    fn portion(&self) -> usize {
        let most = PORTION_BYTES.min(self.rate.saturating_mul(PORTION_SECONDS));
        (most - most % self.frame).max(self.frame)
    }

    /// The place in the samples at which a portion begins.
    fn cut(&self, data: &str, index: usize) -> usize {
        let nominal = self.portion().saturating_mul(index);
        if index == 0 || nominal >= self.length {
            return nominal.min(self.length);
        }
        let Some(sample) = self.sample else { return nominal };
        let searched = (self.rate * SEARCHED_SECONDS).min(self.portion() / 4);
        let searched = searched - searched % self.frame;
        let moment = (self.rate / MOMENTS / self.frame).max(1) * self.frame;
        let from = nominal - searched;
        let samples = base64::range(data, self.start + from..self.start + nominal);
        // The last of several moments that are as quiet.
        let moments = samples.chunks_exact(moment).enumerate().rev();
        let quietest = moments.min_by_key(|(_, moment)| loudness(moment, sample));
        let middle = moment / self.frame / 2 * self.frame;
        quietest.map_or(nominal, |(at, _)| from + at * moment + middle)
    }
}

/// The sum of the samples' distances from silence.
fn loudness(moment: &[u8], sample: usize) -> u64 {
    let samples = moment.chunks_exact(sample);
    let distances = samples.map(|sample| match *sample {
        [byte] => u64::from(byte.abs_diff(128)) << 8,
        // The low bytes of longer samples do not decide.
        [.., low, high] => u64::from(i16::from_le_bytes([low, high]).unsigned_abs()),
        [] => 0,
    });
    distances.sum()
}

/// A number of two or four bytes.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(N)?)?;
    Some(bytes.iter().rev().fold(0, |all, &byte| all << 8 | u32::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loud recording at 200 Hz with 16 bits, silent in the given seconds.
    fn recording(seconds: usize, silence: &[usize]) -> Vec<u8> {
        let samples: Vec<u8> = (0..seconds)
            .flat_map(|second| {
                let level: i16 = if silence.contains(&second) { 0 } else { 9000 };
                level.to_le_bytes().repeat(200)
            })
            .collect();
        wav(1, 200, 16, &samples)
    }

    fn wav(tag: u16, rate: u32, bits: u16, samples: &[u8]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        let frame = bits / 8;
        file.extend(tag.to_le_bytes());
        file.extend(1_u16.to_le_bytes());
        file.extend(rate.to_le_bytes());
        file.extend((rate * u32::from(frame)).to_le_bytes());
        file.extend(frame.to_le_bytes());
        file.extend(bits.to_le_bytes());
        file.extend(b"LIST\x03\0\0\0abc\0data");
        file.extend(u32::try_from(samples.len()).unwrap().to_le_bytes());
        file.extend(samples);
        file
    }

    fn samples(portion: &str) -> Vec<u8> {
        let wav = Wav::read(portion).unwrap();
        base64::range(portion, wav.start..wav.start + wav.length)
    }

    #[test]
    fn short_recordings_are_one_call() {
        let short = base64::encode(&recording(3, &[]));
        assert_eq!((count(&short), of(&short, 0).unwrap()), (1, None));
        let other = base64::encode(b"ID3\x04 mp3");
        assert_eq!((count(&other), of(&other, 0).unwrap()), (1, None));
    }

    #[test]
    fn portions_begin_in_silence_and_hold_every_sample_once() {
        // An hour, quiet at 1195 and at 2393 seconds; nominal cuts are at 1200 and 2400.
        let file = recording(3600, &[1195, 2393]);
        let data = base64::encode(&file);
        assert_eq!(count(&data), 3);
        let portions: Vec<Vec<u8>> =
            (0..3).map(|index| samples(&of(&data, index).unwrap().unwrap())).collect();
        let seconds: Vec<usize> = portions.iter().map(|portion| portion.len() / 400).collect();
        assert_eq!(seconds, [1195, 1198, 1206]);
        assert!(portions[0].ends_with(&[0, 0]) && portions[1].starts_with(&[0, 0]));
        assert!(file.ends_with(&portions.concat()));
        assert_eq!(portions.concat().len(), 3600 * 400);
    }

    #[test]
    fn even_noise_is_cut_at_the_nominal_place() {
        let data = base64::encode(&recording(3600, &[]));
        let first = samples(&of(&data, 0).unwrap().unwrap());
        assert_eq!(first.len() / 400, 1199, "within the last moment");
    }

    #[test]
    fn recordings_are_cut_by_their_length_too() {
        let length = 100 * 60 * 40;
        for tag in [7, 1] {
            let data = base64::encode(&wav(tag, 100, 8, &vec![128; length]));
            assert_eq!(count(&data), 2, "{tag}");
            let (one, two) = (of(&data, 0).unwrap().unwrap(), of(&data, 1).unwrap().unwrap());
            assert_eq!(samples(&one).len() + samples(&two).len(), length);
        }
        let large = base64::encode(&wav(1, 48_000, 32, &vec![0; WHOLE_BYTES]));
        assert_eq!(count(&large), 2, "large, though short");
    }

    #[test]
    fn what_cannot_be_cut_is_refused_by_its_size() {
        let compressed = base64::encode(&wav(85, 16_000, 16, &vec![0; WHOLE_BYTES]));
        assert_eq!(count(&compressed), 1);
        let invalid = of(&compressed, 0).unwrap_err();
        assert_eq!((invalid.param.as_deref(), invalid.code), (Some("file"), "file_too_large"));
        assert!(invalid.message.contains("WAV"), "{}", invalid.message);
    }

    #[test]
    fn damaged_headers_are_no_recordings_to_cut() {
        let file = recording(1, &[]);
        for length in 0..60 {
            let data = base64::encode(&file[..length]);
            let read = Wav::read(&data);
            assert!(read.is_none_or(|wav| wav.length <= length), "{length}");
        }
        for at in 0..60 {
            for byte in [0, 1, 255] {
                let mut damaged = file.clone();
                damaged[at] = byte;
                let data = base64::encode(&damaged);
                let portions = count(&data);
                assert!(portions <= 2, "{at}: {portions}");
                let _ = of(&data, 0);
            }
        }
    }
}
