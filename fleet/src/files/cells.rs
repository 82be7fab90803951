//! Parsers for the cells of a CSV row. An invalid cell becomes a [`BadRow`] with the correction.

use std::{collections::BTreeSet, str::FromStr};

use localize::{
    Country, Day, HeldProfile, HeldState, Home, Identity, Permit, Place, Refused, Role, RuleBook,
};
use rsp::{
    ids::{Iccid, Plmn},
    time::Timestamp,
};
use serde::de::{DeserializeOwned, IntoDeserializer, value::StrDeserializer};

use super::BadRow;

/// A row of a CSV file and its position.
pub(super) struct Row<'a> {
    pub(super) file: &'a str,
    pub(super) line: u64,
    pub(super) columns: &'a [(&'static str, usize)],
    pub(super) cells: &'a ::csv::StringRecord,
    pub(super) book: &'a RuleBook,
}

impl Row<'_> {
    pub(super) fn bad(&self, column: Option<&'static str>, what: impl Into<String>, next: &str) -> BadRow {
        BadRow { file: self.file.into(), line: self.line, column, what: what.into(), next: next.into() }
    }

    /// The trimmed text of a cell, or `None` if the file does not have the column.
    pub(super) fn cell(&self, column: &str) -> Option<&str> {
        let (_, place) = self.columns.iter().find(|(name, _)| *name == column)?;
        self.cells.get(*place).map(str::trim)
    }

    /// The trimmed text of a cell, or `None` if the cell is missing or empty.
    fn filled(&self, column: &str) -> Option<&str> {
        self.cell(column).filter(|text| !text.is_empty())
    }

    pub(super) fn text(&self, column: &'static str) -> Option<Box<str>> {
        self.cell(column).map(Into::into)
    }

    /// Parses a cell with the `FromStr` implementation of its type.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        column: &'static str,
        next: &str,
    ) -> Result<Option<T>, BadRow> {
        let parse =
            |text: &str| text.parse().map_err(|error| self.bad(Some(column), format!("{error}"), next));
        self.filled(column).map(parse).transpose()
    }

    /// Parses a cell as a serde keyword. An empty cell is the default.
    pub(super) fn word<T: DeserializeOwned + Default>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, BadRow> {
        let word = |text: &str| self.word_of(column, text);
        self.cell(column).map(|text| if text.is_empty() { Ok(T::default()) } else { word(text) }).transpose()
    }

    fn word_of<T: DeserializeOwned>(&self, column: &'static str, text: &str) -> Result<T, BadRow> {
        let deserializer: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
        T::deserialize(deserializer)
            .map_err(|error| self.bad(Some(column), error.to_string(), "use one of these keywords"))
    }

    pub(super) fn number(&self, column: &'static str) -> Result<Option<u32>, BadRow> {
        let next = "write a whole number below 4294967296, or leave it empty";
        let number = |text: &str| {
            text.parse().map_err(|_| self.bad(Some(column), format!("{text:?} is not a whole number"), next))
        };
        self.filled(column).map(number).transpose()
    }

    pub(super) fn time(&self, column: &'static str) -> Result<Option<Timestamp>, BadRow> {
        let next = "write 2026-11-21, or 2026-11-21T08:00:00Z";
        let time = |text: &str| {
            let day = || text.parse::<Day>().map(Day::start).ok();
            text.parse::<Timestamp>()
                .ok()
                .or_else(day)
                .ok_or_else(|| self.bad(Some(column), format!("{text:?} is not a date or a time"), next))
        };
        self.filled(column).map(time).transpose()
    }

    pub(super) fn day(&self, column: &'static str) -> Result<Option<Day>, BadRow> {
        self.parsed(column, "write a date such as 2026-11-21, or leave it empty")
    }

    pub(super) fn permits(&self, column: &'static str) -> Result<Option<BTreeSet<Permit>>, BadRow> {
        let permit = |text: &str| {
            text.parse().map_err(|error| {
                self.bad(Some(column), format!("{error}"), "separate several permits with ;")
            })
        };
        let all = |text: &str| -> Result<BTreeSet<Permit>, BadRow> {
            text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(permit).collect()
        };
        self.cell(column).map(all).transpose()
    }

    fn place_of(&self, column: &'static str, text: &str) -> Result<Place, BadRow> {
        let plmn: Plmn = text
            .parse()
            .map_err(|error| self.bad(Some(column), format!("{error}"), "write the network as 724-05"))?;
        let next = "correct the number; add a [[place]] for a laboratory network to the file of --owner";
        let unknown = |_| self.bad(Some(column), format!("no country is known for network {plmn}"), next);
        self.book.locate(plmn).map_err(unknown)
    }

    pub(super) fn place(&self, column: &'static str) -> Result<Option<Place>, BadRow> {
        self.filled(column).map(|text| self.place_of(column, text)).transpose()
    }

    pub(super) fn home(&self, column: &'static str) -> Result<Option<Home>, BadRow> {
        let home = |text: &str| match text.parse::<Country>() {
            Ok(country) if self.book.knows(country) => Ok(country.into()),
            Ok(country) => {
                let next = "use an ISO 3166-1 alpha-2 code that networks.toml has";
                Err(self.bad(Some(column), format!("{country} is not a country"), next))
            }
            Err(_) => self.place_of(column, text).map(Home::from).map_err(|mut bad| {
                bad.next = "write the home network, such as 234-15, or its country, such as GB".into();
                bad
            }),
        };
        self.filled(column).map(home).transpose()
    }

    pub(super) fn countries(&self, column: &'static str) -> Result<Option<Vec<Country>>, BadRow> {
        let country = |text: &str| {
            text.parse().map_err(|error| {
                self.bad(Some(column), format!("{error}"), "separate the countries with blanks")
            })
        };
        self.cell(column).map(|text| text.split_whitespace().map(country).collect()).transpose()
    }

    pub(super) fn identities(&self, column: &'static str) -> Result<Option<Vec<Identity>>, BadRow> {
        let identity = |text| self.place_of(column, text).map(|operator| Identity { operator });
        self.cell(column).map(|text| text.split_whitespace().map(identity).collect()).transpose()
    }

    pub(super) fn refused(&self, column: &'static str) -> Result<Option<Vec<Refused>>, BadRow> {
        let next = "write network, time and optionally the cause, such as 724-05 2026-11-21T08:00:00Z, separated by ;";
        let one = |text: &str| {
            let parsed = || {
                let (operator, rest) = text.split_once(' ')?;
                let (at, cause) = rest.trim_start().split_once(' ').unwrap_or((rest.trim_start(), ""));
                let cause = Some(cause.trim()).filter(|cause| !cause.is_empty()).map(Into::into);
                Some(Refused { operator: operator.parse().ok()?, at: at.parse().ok()?, cause })
            };
            parsed().ok_or_else(|| self.bad(Some(column), format!("{text:?} is not a refusal"), next))
        };
        let all = |text: &str| -> Result<Vec<Refused>, BadRow> {
            text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(one).collect()
        };
        self.cell(column).map(all).transpose()
    }

    pub(super) fn profiles(&self, column: &'static str) -> Result<Option<Vec<HeldProfile>>, BadRow> {
        let Some(text) = self.cell(column) else { return Ok(None) };
        let profiles = text.split(';').map(str::trim).filter(|text| !text.is_empty());
        let profiles: Vec<HeldProfile> =
            profiles.map(|text| self.profile(column, text)).collect::<Result<_, _>>()?;
        if profiles.iter().filter(|profile| profile.state == HeldState::Enabled).count() > 1 {
            let next = "a card has at most one enabled profile; write disabled for the others";
            return Err(self.bad(Some(column), "two profiles are enabled", next));
        }
        Ok(Some(profiles))
    }

    fn profile(&self, column: &'static str, text: &str) -> Result<HeldProfile, BadRow> {
        let next =
            "write ICCID, home network, role and state, such as 8944476500001224158 234-15 bootstrap enabled";
        let parts: Vec<&str> = text.split_whitespace().collect();
        let &[iccid, home, role, state] = parts.as_slice() else {
            return Err(self.bad(Some(column), format!("{text:?} does not have four parts"), next));
        };
        let iccid: Iccid = iccid.parse().map_err(|error| self.bad(Some(column), format!("{error}"), next))?;
        let role: Role = self.word_of(column, role)?;
        Ok(HeldProfile {
            iccid,
            home: self.place_of(column, home)?,
            role,
            state: self.word_of(column, state)?,
        })
    }
}
