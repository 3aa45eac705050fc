//! The events of one response, for clients that read them again or join late. Bounded in bytes: of a longer
//! stream the first events are dropped.

use std::collections::VecDeque;

use bytes::Bytes;
use memchr::memmem;
use translate::sse;

/// Most bytes of events of one response.
pub(super) const LONGEST: usize = 4 * 1024 * 1024;
const END: &[u8] = b"\n\n";

/// Events, framed for the wire, by their sequence numbers.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    /// The sequence number of the first event that is kept.
    first: usize,
    events: VecDeque<Bytes>,
    bytes: usize,
    pub(super) is_over: bool,
}

/// Events from one sequence number on.
#[derive(Debug)]
pub(crate) struct LoggedEvents {
    /// The events, framed for the wire.
    pub(crate) events: Vec<Bytes>,
    /// The sequence number after them.
    pub(crate) next: usize,
    /// No event follows.
    pub(crate) is_over: bool,
}

impl EventLog {
    /// The log of a stream that is over, from its events in a row.
    pub(super) fn of(text: &str) -> Self {
        let mut log = Self::default();
        log.push(&Bytes::copy_from_slice(text.as_bytes()));
        log.is_over = true;
        log
    }

    /// Adds the events in a piece of a stream: each is whole. Comments and the end mark are left out.
    pub(super) fn push(&mut self, piece: &Bytes) {
        let mut rest = piece.clone();
        while let Some(at) = memmem::find(&rest, END) {
            let event = rest.split_to(at + END.len());
            if event.first() == Some(&b':') || *event == *sse::DONE {
                continue;
            }
            self.bytes += event.len();
            self.events.push_back(event);
        }
        while self.bytes > LONGEST {
            let Some(dropped) = self.events.pop_front() else { return };
            self.bytes -= dropped.len();
            self.first += 1;
        }
    }

    /// The events from `next` on; `None` where they are not kept any more.
    pub(super) fn from(&self, next: usize) -> Option<LoggedEvents> {
        let skipped = next.checked_sub(self.first)?;
        let events: Vec<Bytes> = self.events.iter().skip(skipped).cloned().collect();
        let next = next.max(self.first + self.events.len());
        Some(LoggedEvents { events, next, is_over: self.is_over })
    }

    /// All events in a row, if none was dropped.
    pub(super) fn whole(&self) -> Option<String> {
        if self.first > 0 {
            return None;
        }
        let all: Vec<&[u8]> = self.events.iter().map(|event| &**event).collect();
        String::from_utf8(all.concat()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[test]
    fn events_are_read_again_from_any_number() {
        let mut log = EventLog::default();
        log.push(&piece("event: a\ndata: 0\n\nevent: b\ndata: 1\n\n"));
        log.push(&piece(": waiting\n\n"));
        log.push(&piece("event: c\ndata: 2\n\ndata: [DONE]\n\n"));
        let read = log.from(1).unwrap();
        assert_eq!((read.events.len(), read.next, read.is_over), (2, 3, false));
        assert!(log.from(3).unwrap().events.is_empty());
        let again = EventLog::of(&log.whole().unwrap());
        assert_eq!(again.from(0).unwrap().events.len(), 3);
        assert!(again.from(7).unwrap().is_over);
    }

    #[test]
    fn the_first_events_of_a_long_stream_are_dropped() {
        let mut log = EventLog::default();
        let long = format!("data: {}\n\n", "x".repeat(LONGEST / 3));
        for _ in 0..4 {
            log.push(&piece(&long));
        }
        assert!(log.bytes <= LONGEST && log.from(0).is_none() && log.whole().is_none());
        assert_eq!(log.from(2).unwrap().events.len(), 2);
    }
}
