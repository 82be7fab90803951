//! A fault with its place and conditions, and the parser of its notation.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rsp::ids::Plmn;
use serde::{Deserialize, Serialize};

use super::acts::{FROM_SERVER, RecordsAct, TO_SERVER};
use super::card_function::is_card_place;
use super::catalogue::{self, Entry, Family, FaultId, ParameterKind, Places};
use super::value::{Time, Value, number};
use super::when::When;

/// The interfaces that can be named as a place.
const INTERFACES: [&str; 11] =
    ["ES1", "ES2", "ES2+", "ES3", "ES4", "ES5", "ES7", "ES9+", "ES11", "ES12", "ESipa"];

/// The functions of SGP.22 and SGP.32. A misspelt function name is rejected before a run, instead of
/// never matching.
const FUNCTIONS: [(&str, &[&str]); 5] = [
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
    (
        "ESipa",
        &[
            "InitiateAuthentication",
            "AuthenticateClient",
            "GetBoundProfilePackage",
            "CancelSession",
            "HandleNotification",
            "GetEimPackage",
            "ProvideEimPackageResult",
        ],
    ),
];

/// A fault, its place and its conditions. The notation is defined in the [crate
/// documentation](super). In JSON and TOML a fault spec is a string in this notation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct FaultSpec {
    id: FaultId,
    value: Option<Value>,
    place: Option<String>,
    when: Vec<When>,
}

/// Error of parsing a [`FaultSpec`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a fault: {why}")]
pub struct InvalidFaultSpec {
    text: String,
    why: String,
}

impl FaultSpec {
    /// Returns the fault without a place, conditions or a parameter value.
    pub fn of(entry: &Entry) -> Self {
        Self { id: entry.id, value: None, place: None, when: Vec::new() }
    }

    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when.push(when);
        self
    }

    /// The fault.
    pub fn id(&self) -> FaultId {
        self.id
    }

    /// True if the fault affects a server, a link between servers, the ES5 interface or the SMSC.
    /// False if it affects the devices one by one.
    pub fn is_of_servers(&self) -> bool {
        const BETWEEN: [&str; 8] = ["ES1.", "ES2.", "ES2+", "ES3", "ES4", "ES5", "ES7", "ES12"];
        let is_between = |place: &str| BETWEEN.iter().any(|interface| place.starts_with(interface));
        let at_centre = self.id.entry().is_some_and(|entry| entry.places == Places::Direction);
        matches!(self.id.family(), Family::Records | Family::Tls)
            || at_centre
            || self.place().is_some_and(is_between)
    }

    /// The name of the fault, as in `link/lose-answer`.
    pub fn name(&self) -> &'static str {
        self.id.entry().map_or("", |entry| entry.name.as_str())
    }

    /// The place. `None` means everywhere.
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// The parameter value, if one was given. Otherwise the default of the catalogue applies.
    pub fn value(&self) -> Option<Value> {
        self.value
    }

    /// The conditions, all of which must hold.
    pub fn conditions(&self) -> &[When] {
        &self.when
    }

    /// For a crash with a place: the party whose process ends, and the delay until the process is
    /// restarted.
    pub fn ends_process(&self) -> Option<(&str, Duration)> {
        let crashes = [RecordsAct::CrashBeforeCommit, RecordsAct::CrashAfterCommit];
        let ends = crashes.into_iter().any(|act| self.id == FaultId::Records(act));
        let (party, _) = self.place().map(|place| place.split_once(':').unwrap_or((place, "")))?;
        ends.then(|| (party, self.time()))
    }

    /// The given duration, or the default of the catalogue.
    pub(super) fn time(&self) -> Duration {
        match self.value.or_else(|| self.default()) {
            Some(Value::Time(time)) => time,
            _ => Duration::ZERO,
        }
    }

    /// The given number, or the default of the catalogue. `None` if the fault chooses the number
    /// itself.
    pub(super) fn number(&self) -> Option<usize> {
        match self.value.or_else(|| self.default()) {
            Some(Value::Number(number)) => usize::try_from(number).ok(),
            _ => None,
        }
    }

    fn default(&self) -> Option<Value> {
        self.id.entry()?.value.as_ref()?.default
    }

    /// True if the fault applies at this place. `here` contains the place and the places that
    /// contain it, as in `["sm-dp", "sm-dp:profiles"]`.
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
    fn from(spec: FaultSpec) -> Self {
        spec.to_string()
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
        && !is_place(&entry.places, place)
    {
        return Err(format!("{place:?} is not a valid place for {name}. Examples: {}", entry.places.forms()));
    }
    Ok(FaultSpec { id: entry.id, value, place: place.map(str::to_owned), when })
}

/// Describes the known faults of the family, or the known families.
fn unknown(name: &str) -> String {
    let family = name.split('/').next().unwrap_or_default().parse::<Family>();
    let known = match family {
        Ok(family) => {
            let names = catalogue::all().filter(|entry| entry.id.family() == family).map(Entry::short_name);
            format!("known faults of {family}: {}", names.collect::<Vec<_>>().join(", "))
        }
        Err(_) => format!("known families: {}", Family::ALL.map(|family| format!("{family}/...")).join(", ")),
    };
    format!("there is no fault named {name:?}; {known}. `landfall faults` describes each of them.")
}

fn read_when(text: &str) -> Result<When, String> {
    text.parse().map_err(|()| {
        format!("{text:?} is not a valid condition. Write 2, 2-4, 2-, 30%, 10s..5m or 10s.. after the #.")
    })
}

fn read_value(entry: &'static Entry, text: &str) -> Result<Value, String> {
    let Some(parameter) = &entry.value else {
        return Err(format!("{} takes no value", entry.name));
    };
    let read = match parameter.kind {
        ParameterKind::Duration => text.parse().map(|Time(time)| Value::Time(time)),
        ParameterKind::Number => number(text).map(Value::Number),
    };
    read.map_err(|()| {
        let form = match parameter.kind {
            ParameterKind::Duration => "a duration such as 250ms, 30s or 2h",
            ParameterKind::Number => "a number",
        };
        format!("the value of {} must be {form}: {}", entry.name, parameter.what)
    })
}

fn is_place(places: &Places, place: &str) -> bool {
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
        Places::Functions(functions) => functions.split(", ").any(|function| {
            function == place || function.split_once('.').is_some_and(|(interface, _)| interface == place)
        }),
        Places::Server => ["sm-dp", "sm-ds"].contains(&place),
        Places::Collection => place
            .split_once(':')
            .map_or(is_word(place), |(party, collection)| is_word(party) && is_word(collection)),
        Places::Network => place.parse::<Plmn>().is_ok_and(|plmn| plmn.to_string() == place),
        Places::Direction => ["mt", "mo"].contains(&place),
        Places::Datagram => [TO_SERVER, FROM_SERVER].contains(&place),
        Places::Cell => {
            let (whose, cell) = place.split_once(':').unwrap_or((place, "any"));
            ["card", "device"].contains(&whose) && is_word(cell)
        }
        Places::CardFunction => is_card_place(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_specs_round_trip() {
        for text in [
            "link/lose-answer@ES9+.GetBoundProfilePackage#2",
            "link/delay=30s@ES9+",
            "link/corrupt-answer=12@ES9+.InitiateAuthentication#2-#30%",
            "link/http-503#10s..5m",
            "link/reset@ES3.CreateISDP",
            "coap/lose@to-server#2-4",
            "coap/truncate=7@from-server",
            "tls/expired@sm-dp#1-3",
            "apdu/lose-response@ES10b.LoadBoundProfilePackage#4",
            "tamper/dpauth-expired@ES9+.InitiateAuthentication#1",
            "tamper/metadata-iccid@ES9+",
            "records/crash-after-commit=1m@sm-dp:profiles#3",
            "radio/flapping=2m@262-42",
            "radio/sms-delay=10m@mt#1-2",
            "power/cut-after-write@card:profile/#4",
            "power/torn-write=7@device:intention",
        ] {
            let spec: FaultSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
            let json = serde_json::to_string(&spec).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<FaultSpec>(&json).unwrap(), spec);
        }
    }

    #[test]
    fn parse_errors_name_the_problem_and_the_valid_forms() {
        for (text, why) in [
            (
                "link/loose-answer",
                "there is no fault named \"link/loose-answer\"; known faults of link: lose-request, lose-answer, delay, ",
            ),
            ("link/lose-answer@ES9", "Examples: ES9+, ES9+.GetBoundProfilePackage"),
            (
                "link/lose-answer@ES9+.GetProfile",
                "\"ES9+.GetProfile\" is not a valid place for link/lose-answer",
            ),
            ("link/lose-answer#0", "\"0\" is not a valid condition"),
            ("link/lose-answer#", "\"\" is not a valid condition"),
            ("link/delay=5", "the value of link/delay must be a duration such as 250ms, 30s or 2h: delay"),
            ("link/corrupt-answer=1s", "must be a number: index of the octet"),
            ("link/reset=1", "link/reset takes no value"),
            ("tamper/dpauth-expired@ES9+.CancelSession", "Examples: ES9+.InitiateAuthentication"),
            ("coap/lose@ESipa", "Examples: to-server, from-server"),
            ("radio/outage@mt", "Examples: 262-42"),
            ("radio/sms-lose@262-42", "Examples: mt, mo"),
            ("power/write-fails@modem", "Examples: card, card:profile/, device:intention"),
            ("", "there is no fault named \"\"; known families: link/..., coap/..., tls/..., records/..., "),
        ] {
            let error = text.parse::<FaultSpec>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{text:?} is not a fault: ")) && error.contains(why),
                "{error}"
            );
        }
    }

    #[test]
    fn a_place_is_a_function_or_its_interface() {
        let here = ["ES9+", "ES9+.CancelSession"];
        assert!("link/reset".parse::<FaultSpec>().unwrap().is_at(&here));
        assert!("link/reset@ES9+".parse::<FaultSpec>().unwrap().is_at(&here));
        assert!("link/reset@ES9+.CancelSession".parse::<FaultSpec>().unwrap().is_at(&here));
        assert!(!"link/reset@ES9+.HandleNotification".parse::<FaultSpec>().unwrap().is_at(&here));
    }
}
