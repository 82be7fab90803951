//! What people call parties that call each other by OID, EID and telephone number.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use world::{Event, Events};

/// Names for identifiers. A clone is the same list.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<Mutex<BTreeMap<String, String>>>);

impl Names {
    /// From now on this is called so.
    pub fn call(&self, id: &impl ToString, name: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_string(), name.into());
    }

    /// What it is called, if it has a name.
    pub fn of(&self, id: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// A text with names in place of the identifiers that stand in it as words.
    pub fn in_words(&self, text: &str) -> String {
        let word = |word: &str| {
            let id = word.trim_end_matches([',', ';', ':', '.']);
            let rest = word.get(id.len()..).unwrap_or_default();
            self.of(id).map_or_else(|| word.to_owned(), |name| name + rest)
        };
        text.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }
}

/// Passes events on with the names of peers.
pub struct Named {
    /// To whom.
    pub events: Arc<dyn Events>,
    /// What they are called.
    pub names: Names,
}

impl Events for Named {
    fn tell(&self, mut event: Event) {
        if let Some(name) = self.names.of(&event.peer) {
            event.peer = name.into();
        }
        self.events.tell(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_have_a_name_are_called_so() {
        let names = Names::default();
        names.call(&"+447700900001", "SM-SR 1");
        names.call(&"2.999.1", "operator");
        assert_eq!(names.in_words("from +447700900001, 0 octets"), "from SM-SR 1, 0 octets");
        assert_eq!(names.in_words("2.999.1 and 2.999.12"), "operator and 2.999.12");
    }
}
