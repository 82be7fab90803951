//! A fault at a place: how it is written and read.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rsp::ids::Plmn;
use serde::{Deserialize, Serialize};

use super::catalogue::{self, Entry, Family, FaultId, Places};
use super::records::RecordsAct;
use super::when::{Time, When, number};

/// The interfaces at which links are named.
const INTERFACES: [&str; 10] = ["ES1", "ES2", "ES2+", "ES3", "ES4", "ES5", "ES7", "ES9+", "ES11", "ES12"];

/// The functions of SGP.22, so that a slip of the pen is found before a run in which nothing happens.
const FUNCTIONS: [(&str, &[&str]); 4] = [
    (
        "ES9+",
        &[
            "InitiateAuthentication",
            "AuthenticateClient",
            "GetBoundProfilePackage",
            "CancelSession",
            "HandleNotification",
        ],
    ),
    (
        "ES2+",
        &["DownloadOrder", "ConfirmOrder", "CancelOrder", "ReleaseProfile", "HandleDownloadProgressInfo"],
    ),
    ("ES11", &["InitiateAuthentication", "AuthenticateClient"]),
    ("ES12", &["RegisterEvent", "DeleteEvent"]),
];

/// A fault, where it happens and when. Written as [`faults`](super) says; in JSON and TOML that text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FaultSpec {
    id: FaultId,
    value: Option<Value>,
    place: Option<String>,
    when: Vec<When>,
}

/// How a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A duration.
    Time(Duration),
    /// A number.
    Number(u32),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(f, "{}", Time(*time)),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Not the name of a fault at a place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no fault: {why}")]
pub struct InvalidFaultSpec {
    text: String,
    why: String,
}

impl FaultSpec {
    /// This fault, everywhere and always, as the catalogue has it.
    pub fn of(entry: &Entry) -> Self {
        Self { id: entry.id, value: None, place: None, when: Vec::new() }
    }

    /// The same with this condition as well.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when.push(when);
        self
    }

    /// Which fault.
    pub fn id(&self) -> FaultId {
        self.id
    }

    /// Whether it happens to a server, between servers, at the door for cards or at the service centre, and not to one device.
    pub fn is_of_servers(&self) -> bool {
        const BETWEEN: [&str; 8] = ["ES1.", "ES2.", "ES2+", "ES3", "ES4", "ES5", "ES7", "ES12"];
        let is_between = |place: &str| BETWEEN.iter().any(|interface| place.starts_with(interface));
        let at_centre = self.id.entry().is_some_and(|entry| entry.places == Places::Direction);
        self.id.family() == Family::Records || at_centre || self.place().is_some_and(is_between)
    }

    /// Its name, as in `link/lose-answer`.
    pub fn name(&self) -> &'static str {
        self.id.entry().map_or("", |entry| entry.name)
    }

    /// Where; none is everywhere.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// How, if that was said; otherwise as the catalogue has it.
    pub fn value(&self) -> Option<Value> {
        self.value
    }

    /// When: all of these must be so.
    pub fn conditions(&self) -> &[When] {
        &self.when
    }

    /// Of a crash: whose process ends, where the place says it, and how long it is away.
    pub fn ends_process(&self) -> Option<(&str, Duration)> {
        let crashes = [RecordsAct::CrashBeforeCommit, RecordsAct::CrashAfterCommit];
        let ends = crashes.into_iter().any(|act| self.id == FaultId::Records(act));
        let (party, _) = self.place().map(|place| place.split_once(':').unwrap_or((place, "")))?;
        ends.then(|| (party, self.time()))
    }

    /// The duration that was said, or that of the catalogue.
    pub(super) fn time(&self) -> Duration {
        match self.value.or_else(|| self.default()) {
            Some(Value::Time(time)) => time,
            _ => Duration::ZERO,
        }
    }

    /// The number that was said, or that of the catalogue; none where the fault chooses itself.
    pub(super) fn number(&self) -> Option<usize> {
        match self.value.or_else(|| self.default()) {
            Some(Value::Number(number)) => usize::try_from(number).ok(),
            _ => None,
        }
    }

    fn default(&self) -> Option<Value> {
        self.id.entry()?.value.as_ref()?.default
    }

    /// Whether this is its place: `here` is a place and what lies above it, as in `["sm-dp", "sm-dp:profiles"]`.
    pub(super) fn is_at<S: AsRef<str>>(&self, here: &[S]) -> bool {
        self.place.as_ref().is_none_or(|place| here.iter().any(|here| here.as_ref() == place))
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.value.map_or(Ok(()), |value| write!(f, "={value}"))?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, "@{place}"))?;
        self.when.iter().try_for_each(|when| write!(f, "#{when}"))
    }
}

impl FromStr for FaultSpec {
    type Err = InvalidFaultSpec;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text).map_err(|why| InvalidFaultSpec { text: text.to_owned(), why })
    }
}

impl From<FaultSpec> for String {
    fn from(mishap: FaultSpec) -> Self {
        mishap.to_string()
    }
}

impl TryFrom<String> for FaultSpec {
    type Error = InvalidFaultSpec;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

fn read(text: &str) -> Result<FaultSpec, String> {
    let mut parts = text.split('#');
    let rest = parts.next().unwrap_or_default();
    let when = parts.map(read_when).collect::<Result<Vec<_>, _>>()?;
    let (rest, place) = match rest.split_once('@') {
        Some((rest, place)) => (rest, Some(place)),
        None => (rest, None),
    };
    let (name, value) = match rest.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (rest, None),
    };
    let entry = catalogue::named(name).ok_or_else(|| unknown(name))?;
    let value = value.map(|value| read_value(entry, value)).transpose()?;
    if let Some(place) = place
        && !is_place(entry.places, place)
    {
        return Err(format!("{place:?} is no place for {name}; say {} or the like", entry.places.forms()));
    }
    Ok(FaultSpec { id: entry.id, value, place: place.map(str::to_owned), when })
}

/// What there is in the family, or which families there are.
fn unknown(name: &str) -> String {
    let family = name.split('/').next().unwrap_or_default().parse::<Family>();
    let known = match family {
        Ok(family) => {
            let names = catalogue::all().filter(|entry| entry.id.family() == family).map(Entry::short_name);
            format!("of {family} there are {}", names.collect::<Vec<_>>().join(", "))
        }
        Err(_) => format!("there are {}", Family::ALL.map(|family| format!("{family}/...")).join(", ")),
    };
    format!("nothing is called {name:?}; {known}; `landfall faults` says what each does")
}

fn read_when(text: &str) -> Result<When, String> {
    text.parse()
        .map_err(|()| format!("{text:?} does not say when; say 2, 2-4, 2-, 30%, 10s..5m or 10s.., after a #"))
}

fn read_value(entry: &'static Entry, text: &str) -> Result<Value, String> {
    let Some(parameter) = &entry.value else {
        return Err(format!("{} takes no value", entry.name));
    };
    let read = match parameter.is_time {
        true => text.parse().map(|Time(time)| Value::Time(time)),
        false => number(text).map(Value::Number),
    };
    read.map_err(|()| {
        let form = if parameter.is_time { "a duration such as 250ms, 30s or 2h" } else { "a number" };
        format!("the value of {} is {form}: {}", entry.name, parameter.what)
    })
}

fn is_place(places: Places, place: &str) -> bool {
    let is_word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|each| each.is_ascii_alphanumeric() || matches!(each, b'-' | b'_' | b'/' | b'.'))
    };
    match places {
        Places::Function => match place.split_once('.') {
            None => INTERFACES.contains(&place),
            Some((interface, function)) => {
                let known = FUNCTIONS.iter().find(|(name, _)| *name == interface);
                INTERFACES.contains(&interface)
                    && is_word(function)
                    && known.is_none_or(|(_, functions)| functions.contains(&function))
            }
        },
        Places::Told(functions) => functions.split(", ").any(|function| {
            function == place || function.split_once('.').is_some_and(|(interface, _)| interface == place)
        }),
        Places::Collection => place
            .split_once(':')
            .map_or(is_word(place), |(party, collection)| is_word(party) && is_word(collection)),
        Places::Network => place.parse::<Plmn>().is_ok_and(|plmn| plmn.to_string() == place),
        Places::Direction => ["mt", "mo"].contains(&place),
        Places::Cell => {
            let (whose, cell) = place.split_once(':').unwrap_or((place, "any"));
            ["card", "device"].contains(&whose) && is_word(cell)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mishaps_are_written_as_they_are_read() {
        for text in [
            "link/lose-answer@ES9+.GetBoundProfilePackage#2",
            "link/delay=30s@ES9+",
            "link/corrupt-answer=12@ES9+.InitiateAuthentication#2-#30%",
            "link/http-503#10s..5m",
            "link/reset@ES3.CreateISDP",
            "lie/dpauth-expired@ES9+.InitiateAuthentication#1",
            "lie/metadata-iccid@ES9+",
            "records/crash-after-commit=1m@sm-dp:profiles#3",
            "radio/flapping=2m@262-42",
            "radio/sms-delay=10m@mt#1-2",
            "power/cut-after-write@card:profile/#4",
            "power/torn-write=7@device:intention",
        ] {
            let mishap: FaultSpec = text.parse().unwrap();
            assert_eq!(mishap.to_string(), text);
            let json = serde_json::to_string(&mishap).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<FaultSpec>(&json).unwrap(), mishap);
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_what_would_be_right() {
        for (text, why) in [
            (
                "link/loose-answer",
                "nothing is called \"link/loose-answer\"; of link there are lose-request, lose-answer, delay, ",
            ),
            ("link/lose-answer@ES9", "say ES9+, ES9+.GetBoundProfilePackage or the like"),
            ("link/lose-answer@ES9+.GetProfile", "\"ES9+.GetProfile\" is no place for link/lose-answer"),
            ("link/lose-answer#0", "\"0\" does not say when"),
            ("link/lose-answer#", "\"\" does not say when"),
            ("link/delay=5", "the value of link/delay is a duration such as 250ms, 30s or 2h: how late"),
            ("link/corrupt-answer=1s", "is a number: which octet"),
            ("link/reset=1", "link/reset takes no value"),
            ("lie/dpauth-expired@ES9+.CancelSession", "say ES9+.InitiateAuthentication or the like"),
            ("radio/outage@mt", "say 262-42 or the like"),
            ("radio/sms-lose@262-42", "say mt, mo or the like"),
            ("power/write-fails@modem", "say card, card:profile/, device:intention or the like"),
            ("", "nothing is called \"\"; there are link/..., records/..., "),
        ] {
            let error = text.parse::<FaultSpec>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is no fault: ")) && error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_place_is_a_function_or_all_of_its_interface() {
        let here = ["ES9+", "ES9+.CancelSession"];
        assert!("link/reset".parse::<FaultSpec>().unwrap().is_at(&here));
        assert!("link/reset@ES9+".parse::<FaultSpec>().unwrap().is_at(&here));
        assert!("link/reset@ES9+.CancelSession".parse::<FaultSpec>().unwrap().is_at(&here));
        assert!(!"link/reset@ES9+.HandleNotification".parse::<FaultSpec>().unwrap().is_at(&here));
    }
}
