//! Readable names for parties, which identify each other by OID, EID or telephone number.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use world::{Event, Events};

/// Map from identifiers to names. Clones share the map.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<Mutex<BTreeMap<String, String>>>);

impl Names {
    /// Sets the name of an identifier.
    pub fn call(&self, id: &impl ToString, name: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_string(), name.into());
    }

    /// Returns the name of an identifier, if it has one.
    pub fn of(&self, id: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Replaces the identifiers that occur as words in a text by their names.
    pub fn in_words(&self, text: &str) -> String {
        let word = |word: &str| {
            let id = word.trim_end_matches([',', ';', ':', '.']);
            let rest = word.get(id.len()..).unwrap_or_default();
            self.of(id).map_or_else(|| word.to_owned(), |name| name + rest)
        };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }
}

/// Forwards events with the peer's identifier replaced by its name.
pub struct Named {
    /// Receiver of the events.
    pub events: Arc<dyn Events>,
    /// Names of the identifiers.
    pub names: Names,
}

impl Events for Named {
    fn emit(&self, mut event: Event) {
        if let Some(name) = self.names.of(&event.peer) {
            event.peer = name.into();
        }
        self.events.emit(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_in_a_text_are_replaced_by_their_names() {
        let names = Names::default();
        names.call(&"+447700900001", "SM-SR 1");
        names.call(&"2.999.1", "operator");
        assert_eq!(names.in_words("from +447700900001, 0 octets"), "from SM-SR 1, 0 octets");
        assert_eq!(names.in_words("2.999.1 and 2.999.12"), "operator and 2.999.12");
    }
}
