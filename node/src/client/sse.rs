//! Server-sent events out of a stream of bytes.

use crate::{Error, Result};

/// Longest event accepted, in bytes.
const MAX_EVENT_BYTES: usize = 8 << 20;

/// Collects bytes and gives the `data` of whole events.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    held: Vec<u8>,
}

impl EventReader {
    /// Adds received bytes; returns the data of the events that they complete.
    ///
    /// # Errors
    /// [`Error::Remote`] if an event is longer than eight mebibytes or is not UTF-8.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<String>> {
        self.held.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some((end, length)) = event_end(&self.held) {
            let event: Vec<u8> = self.held.drain(..end + length).collect();
            if let Some(data) = data_of(&event[..end])? {
                events.push(data);
            }
        }
        if self.held.len() > MAX_EVENT_BYTES {
            return Err(Error::Remote(format!("an event has over {MAX_EVENT_BYTES} bytes")));
        }
        Ok(events)
    }
}

/// Where the first event ends and how long the blank line after it is.
fn event_end(bytes: &[u8]) -> Option<(usize, usize)> {
    let find = |mark: &[u8]| bytes.windows(mark.len()).position(|window| window == mark);
    let ends = [find(b"\n\n").map(|at| (at, 2)), find(b"\r\n\r\n").map(|at| (at, 4))];
    ends.into_iter().flatten().min()
}

/// The event's `data` lines joined; `None` for comments and events without data.
fn data_of(event: &[u8]) -> Result<Option<String>> {
    let text = std::str::from_utf8(event)
        .map_err(|error| Error::Remote(format!("an event is not UTF-8: {error}")))?;
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(|data| data.strip_prefix(' ').unwrap_or(data))
        .collect();
    Ok((!lines.is_empty()).then(|| lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": ping\n\ndata: {\"a\":1}\n\ndata: one\ndata: two\r\n\r\ndata: [DONE]\n\n";

    #[test]
    fn events_are_the_same_however_the_bytes_arrive() {
        let whole = EventReader::default().feed(STREAM.as_bytes()).unwrap();
        assert_eq!(whole, ["{\"a\":1}", "one\ntwo", "[DONE]"]);
        for size in 1..STREAM.len() {
            let mut reader = EventReader::default();
            let mut events = Vec::new();
            for part in STREAM.as_bytes().chunks(size) {
                events.extend(reader.feed(part).unwrap());
            }
            assert_eq!(events, whole, "parts of {size}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = EventReader::default();
        let part = vec![b'a'; MAX_EVENT_BYTES / 2 + 1];
        assert!(reader.feed(&part).is_ok());
        assert!(reader.feed(&part).is_err());
    }
}
