//! The outputs of a batch's jobs and the results of its calls, in one file of this machine without a name, which goes
//! with the process. Jobs answer in any order; from here the answers are read in the order of the lines.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::validate::of_record_id;

/// Answers, by line.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    length: u64,
    records: HashMap<usize, Vec<Place>>,
    results: HashMap<usize, Place>,
}

/// An entry of the file.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The call among those of its line, and the group.
    call: usize,
    group: usize,
    at: u64,
    length: usize,
}

/// The output of one record.
#[derive(Debug)]
pub(super) enum RecordOutput {
    Answer(Bytes),
    /// Status and message.
    Error(u16, String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutputRecord<'r> {
    #[serde(borrow)]
    model_output: Option<&'r RawValue>,
    error: Option<RecordError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordError {
    error_code: Option<u16>,
    error_message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordId<'r> {
    record_id: std::borrow::Cow<'r, str>,
}

impl Spool {
    /// An empty file in the folder for temporary ones. It loses its name at once, so that no end of the process leaves
    /// it behind.
    pub(super) fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("outcrop-batch-{}", Uuid::now_v7()));
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Self { file, length: 0, records: HashMap::new(), results: HashMap::new() })
    }

    /// Adds a line of a job's output; one without an id of this batch is left out.
    pub(super) fn add_record(&mut self, group: usize, line: &[u8]) -> io::Result<()> {
        let id: Option<RecordId<'_>> = serde_json::from_slice(line).ok();
        let Some((number, call)) = id.and_then(|id| of_record_id(&id.record_id)) else {
            log::warn!("a record of a job's output has no id of its batch");
            return Ok(());
        };
        let place = self.append(line, (group, call))?;
        let places = self.records.entry(number).or_default();
        // A record that came twice counts once.
        if places.iter().all(|known| known.call != call) {
            places.push(place);
        }
        Ok(())
    }

    /// Adds the result of a call.
    pub(super) fn add_result(&mut self, line: usize, result: &[u8]) -> io::Result<()> {
        let place = self.append(result, (0, 0))?;
        self.results.insert(line, place);
        Ok(())
    }

    /// The outputs of a line's records in the order of their inputs, with their group; none if it has none.
    pub(super) fn records(&self, line: usize) -> io::Result<Option<(usize, Vec<RecordOutput>)>> {
        let Some(places) = self.records.get(&line) else { return Ok(None) };
        let mut places = places.clone();
        places.sort_by_key(|place| place.call);
        let group = places.first().map_or(0, |place| place.group);
        let mut outputs = Vec::with_capacity(places.len());
        for place in places {
            outputs.push(output(&self.read(place)?));
        }
        Ok(Some((group, outputs)))
    }

    /// The result of a line's call.
    pub(super) fn result(&self, line: usize) -> io::Result<Option<Bytes>> {
        self.results.get(&line).map(|place| self.read(*place)).transpose()
    }

    fn append(&mut self, bytes: &[u8], (group, call): (usize, usize)) -> io::Result<Place> {
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(bytes)?;
        let place = Place { call, group, at: self.length, length: bytes.len() };
        self.length += bytes.len() as u64;
        Ok(place)
    }

    fn read(&self, place: Place) -> io::Result<Bytes> {
        let mut bytes = vec![0; place.length];
        self.file.read_exact_at(&mut bytes, place.at)?;
        Ok(bytes.into())
    }
}

fn output(line: &Bytes) -> RecordOutput {
    let read: Result<OutputRecord<'_>, _> = serde_json::from_slice(line);
    match read {
        Ok(OutputRecord { model_output: Some(output), .. }) => {
            RecordOutput::Answer(line.slice_ref(output.get().as_bytes()))
        }
        Ok(OutputRecord { error: Some(RecordError { error_code, error_message }), .. }) => {
            RecordOutput::Error(error_code.unwrap_or(500), error_message.unwrap_or_default())
        }
        Ok(_) | Err(_) => RecordOutput::Error(500, "the record has no output".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_by_line_in_whatever_order_they_came() {
        let mut spool = Spool::new().unwrap();
        for (id, rest) in [
            ("r000000002c00001", "\"modelOutput\":{\"a\": 2}"),
            ("r000000001c00000", "\"error\":{\"errorCode\":400,\"errorMessage\":\"no\"}"),
            ("r000000002c00000", "\"modelInput\":{\"x\":1},\"modelOutput\":{\"a\": 1}"),
            ("r000000002c00000", "\"modelOutput\":{\"a\": 9}"),
            ("OTHER", "\"modelOutput\":{}"),
            ("r000000003c00000", "\"other\":1"),
        ] {
            let line = format!("{{\"recordId\":\"{id}\",{rest}}}\n");
            spool.add_record(4, line.as_bytes()).unwrap();
        }
        spool.add_result(7, b"result").unwrap();
        let (group, outputs) = spool.records(2).unwrap().unwrap();
        let answers: Vec<_> = outputs
            .iter()
            .map(|output| match output {
                RecordOutput::Answer(bytes) => std::str::from_utf8(bytes).unwrap(),
                RecordOutput::Error(..) => panic!("{output:?}"),
            })
            .collect();
        assert_eq!((group, answers), (4, vec!["{\"a\": 1}", "{\"a\": 2}"]));
        let error = spool.records(1).unwrap().unwrap().1;
        assert!(matches!(&error[..], [RecordOutput::Error(400, text)] if text == "no"));
        let none = spool.records(3).unwrap().unwrap().1;
        assert!(matches!(&none[..], [RecordOutput::Error(500, _)]));
        assert!(spool.records(9).unwrap().is_none());
        assert_eq!(spool.result(7).unwrap().unwrap(), "result");
        assert!(spool.result(2).unwrap().is_none());
    }
}
