//! Checks that everything that a scenario refers to exists, and that all times are inside the run.

mod identities;
mod kind;

use std::collections::BTreeSet;
use std::ops::Range;

use rsp::ids::Plmn;
use toml::Spanned;

use super::campaign_spec::campaign_spec;
use super::data::is_country;
use super::error::{InvalidScenario, Text, nearest};
use super::{Action, At, Condition, Devices, Expected, Group, Length, Network, Part, Place, Scenario, Stop};
use fleet::bearers::Bearers;
use testbed::fault_places;

type Checked = Result<(), InvalidScenario>;

/// Maximum number of devices: a run of this size fits into the memory of a typical machine.
const MOST_DEVICES: u32 = 1_000_000;
/// Maximum number of profiles in the stock of an operator, because each profile is a package in
/// memory.
const MOST_STOCK: u32 = 1_000_000;

/// Runs all checks across the sections of a scenario.
pub(super) fn all(source: Text<'_>, scenario: &Scenario, lasts: Range<usize>) -> Checked {
    if scenario.lasts.0.is_zero() {
        return Err(source.error(
            lasts,
            "the duration of a run must not be zero",
            "write lasts = \"120d\" or the like",
        ));
    }
    if scenario.groups.is_empty() {
        let next = "add [[devices]] with name, bootstrap and journey";
        return Err(source.error(0..0, "there are no devices", next));
    }
    let check = Check { source, scenario };
    check.countries()?;
    check.networks()?;
    check.operators()?;
    check.groups()?;
    check.campaigns()?;
    check.faults()?;
    check.steps()?;
    check.expectations()
}

struct Check<'a> {
    source: Text<'a>,
    scenario: &'a Scenario,
}

impl Check<'_> {
    /// Checks country codes in registrations and filters. These countries need no network in the
    /// scenario.
    fn countries(&self) -> Checked {
        let Scenario { owner, groups, campaigns, .. } = self.scenario;
        let registered = groups.iter().flat_map(|group| &group.imei_registered_in);
        let of_campaigns = campaigns.iter().filter_map(|campaign| campaign.country.as_ref());
        let mut all = owner.registered_in.iter().chain(registered).chain(of_campaigns);
        all.try_for_each(|country| is_country(self.source, country, &self.scenario.book))
    }

    fn networks(&self) -> Checked {
        let bearers = Bearers::built_in().map_err(|why| self.source.error(0..0, why.to_string(), ""))?;
        let ids: Vec<&str> = bearers.all().iter().map(|bearer| bearer.id.as_str()).collect();
        let mut seen = BTreeSet::new();
        for network in &self.scenario.networks {
            if !seen.insert(*network.plmn.get_ref()) {
                return Err(self.twice("network", &network.plmn));
            }
            let bearer = network.bearer.get_ref();
            let packets =
                bearers.all().iter().find(|known| known.id == *bearer).map(|known| known.packets.is_some());
            match packets {
                Some(true) => {}
                // M2M devices that are reached by short messages do not connect to servers.
                Some(false) if self.scenario.is_m2m() => {}
                Some(false) => {
                    let what =
                        format!("devices cannot connect to servers over {bearer}: it carries no packets");
                    return Err(self.source.error(network.bearer.span(), what, "use nb-iot, lte-m or lte"));
                }
                None => return Err(self.unknown("bearer", bearer, &ids, network.bearer.span())),
            }
            if let Some(rate) = network.roamers.as_ref().and_then(|roamers| roamers.throttle_kbps.as_ref()) {
                if *rate.get_ref() == 0 {
                    let next = "write a rate, or remove throttle_kbps: the network then rejects them";
                    return Err(self.source.error(rate.span(), "devices are not throttled to nothing", next));
                }
                if self.scenario.is_m2m() {
                    let next = "remove throttle_kbps: the network then rejects them";
                    return Err(self.source.error(rate.span(), "M2M devices cannot be throttled", next));
                }
            }
            for away in &network.away {
                let from = self.moment(&away.from)?;
                if let Some(until) = &away.until
                    && self.moment(until)? <= from
                {
                    let what = "it ends before it begins".to_owned();
                    return Err(self.source.error(until.span(), what, "set until after from"));
                }
            }
        }
        Ok(())
    }

    fn operators(&self) -> Checked {
        let mut seen = BTreeSet::new();
        for operator in &self.scenario.operators {
            if !seen.insert(*operator.network.get_ref()) {
                return Err(self.twice("operator", &operator.network));
            }
            // The leading digits of the ICCIDs of its profiles.
            let series =
                |plmn: Plmn| (plmn.mcc(), plmn.mnc().to_string().chars().take(2).collect::<String>());
            let others = self.scenario.operators.iter().map(|other| *other.network.get_ref());
            let own = *operator.network.get_ref();
            if let Some(other) =
                others.filter(|other| *other != own).find(|other| series(*other) == series(own))
            {
                let what = format!("profiles of {own} and {other} would have the same ICCIDs");
                let next = "use network codes that differ in their first two digits";
                return Err(self.source.error(operator.network.span(), what, next));
            }
            if *operator.stock.get_ref() > MOST_STOCK {
                let what = format!("a stock has at most {MOST_STOCK} profiles");
                return Err(self.source.error(operator.stock.span(), what, "write a smaller stock"));
            }
            self.identities(operator)?;
            self.word(&operator.sm_dp, "an SM-DP+")?;
            let reserved = ["platform", fault_places::EIM_PLACE, fault_places::SECOND_EIM_PLACE];
            if reserved.contains(&operator.sm_dp.get_ref().as_str()) {
                let what = "this name is reserved for another server".to_owned();
                return Err(self.source.error(operator.sm_dp.span(), what, "rename the SM-DP+"));
            }
        }
        Ok(())
    }

    fn groups(&self) -> Checked {
        let (mut seen, mut total) = (BTreeSet::new(), 0_u32);
        for group in &self.scenario.groups {
            self.word(&group.name, "a group of devices")?;
            if !seen.insert(group.name.get_ref().clone()) {
                return Err(self.twice("group", &group.name));
            }
            total = total.saturating_add(*group.count.get_ref());
            if *group.count.get_ref() == 0 || total > MOST_DEVICES {
                let what =
                    format!("a scenario has 1 to {MOST_DEVICES} devices, and a group has at least one");
                return Err(self.source.error(group.count.span(), what, "change the count"));
            }
            self.operator(&group.bootstrap)?;
            for held in &group.holds {
                self.operator(held)?;
                if held.get_ref() == group.bootstrap.get_ref() {
                    let what = format!(
                        "the profile of {} is already on the card as the bootstrap profile",
                        held.get_ref()
                    );
                    return Err(self.source.error(held.span(), what, "remove it from holds"));
                }
            }
            if let Some(prefers) = &group.prefers {
                self.operator(prefers)?;
            }
            self.kind(group)?;
            if group.check_in.get_ref().0.as_secs() < 60 {
                let what = "check_in must be at least one minute".to_owned();
                return Err(self.source.error(
                    group.check_in.span(),
                    what,
                    "write \"1h\" or \"1d\" or the like",
                ));
            }
            self.journey(group)?;
        }
        Ok(())
    }

    fn journey(&self, group: &Group) -> Checked {
        let Some(first) = group.journey.first() else {
            let next = "write journey = [{ at = \"0d\", in = \"BR\" }] or the like";
            return Err(self.source.error(group.name.span(), "its journey has no stop", next));
        };
        if self.after(first)? != Length::default() {
            let next = "write at = \"0d\" for the first stop; hears = [] is a place without coverage";
            return Err(self.source.error(
                first.at.span(),
                "the location of the devices before this stop is undefined",
                next,
            ));
        }
        let mut before = None;
        for stop in &group.journey {
            let at = self.after(stop)?;
            if before.is_some_and(|before| at <= before) {
                let what = "a stop must be later than the one before it".to_owned();
                return Err(self.source.error(stop.at.span(), what, "sort the stops by time"));
            }
            before = Some(at);
            match (&stop.country, &stop.hears) {
                (Some(country), None) => self.place(&Place::In(country.clone()))?,
                (None, Some(hears)) => self.place(&Place::Hears(hears.clone()))?,
                _ => {
                    let next = "write either in = \"BR\" or hears = [\"724-05\"]";
                    return Err(self.source.error(stop.at.span(), "this stop has no location, or two", next));
                }
            }
        }
        match (&group.repeat, before) {
            (Some(repeat), Some(last)) if *repeat.get_ref() <= last => {
                let what = "the journey repeats before its last stop".to_owned();
                Err(self.source.error(repeat.span(), what, "write a longer repeat"))
            }
            _ => Ok(()),
        }
    }

    /// The time between the start of the journey and a stop.
    fn after(&self, stop: &Stop) -> Result<Length, InvalidScenario> {
        match stop.at.get_ref() {
            At::After(after) => Ok(Length(*after)),
            At::On(time) if *time >= self.scenario.begins => Ok(Length(time.since(self.scenario.begins))),
            At::On(_) | At::End => {
                let what = format!("a stop cannot be at {}", stop.at.get_ref());
                Err(self.source.error(stop.at.span(), what, "write the time after the start, as in \"10d\""))
            }
        }
    }

    fn campaigns(&self) -> Checked {
        let mut seen = BTreeSet::new();
        for campaign in &self.scenario.campaigns {
            if !seen.insert(campaign.name.get_ref().clone()) {
                return Err(self.twice("campaign", &campaign.name));
            }
            self.moment(&campaign.at)?;
            let target = campaign.target.get_ref();
            if target != "decided" {
                let plmn: Plmn = target.parse().map_err(|_| {
                    let what = format!("{target:?} is not a campaign target");
                    self.source.error(
                        campaign.target.span(),
                        what,
                        "write \"decided\" or the network of an operator",
                    )
                })?;
                self.operator(&Spanned::new(campaign.target.span(), plmn))?;
            }
            campaign.devices.as_ref().map_or(Ok(()), |devices| self.devices(devices))?;
            for window in &campaign.windows {
                if window.from.get_ref() >= window.until.get_ref() || *window.until.get_ref() > 24 {
                    let what = "a window needs two hours from 0 to 24, the earlier one first".to_owned();
                    let next = "write two windows if it spans midnight";
                    return Err(self.source.error(window.from.span(), what, next));
                }
            }
            // The checks that the platform makes at the start of the campaign are made here, so
            // that an error names a line of the file.
            let at = || campaign.name.span();
            let devices = campaign.devices.as_ref().map(|_| Vec::new());
            let spec = campaign_spec(campaign, devices)
                .map_err(|fault| self.source.error(at(), fault.why, fault.next))?;
            spec.check().map_err(|problem| self.source.error(at(), problem.why, problem.next))?;
        }
        Ok(())
    }

    fn faults(&self) -> Checked {
        for trouble in &self.scenario.faults {
            trouble.at.as_ref().map_or(Ok(()), |at| self.moment(at).map(drop))?;
            let spec = trouble.what.get_ref();
            let elsewhere = match spec.id().family() {
                faults::Family::Tls => Some((
                    "its parties use no TLS",
                    "use it with --fault of a server, such as `landfall sm-dp serve`",
                )),
                faults::Family::Coap if !self.scenario.has_coap() => {
                    Some(("no devices use CoAP", "write esipa = \"coap\" in [[devices]]"))
                }
                faults::Family::Apdu => {
                    Some(("its cards have no such interface", "use it with --fault of `landfall device`"))
                }
                _ => None,
            };
            if let Some((why, next)) = elsewhere {
                let what = format!("{spec} cannot occur in a scenario: {why}");
                return Err(self.source.error(trouble.what.span(), what, next));
            }
            let Some(devices) = &trouble.devices else { continue };
            self.devices(devices)?;
            if spec.is_of_servers() {
                let what = format!("{} affects a server, not devices", spec);
                return Err(self.source.error(devices.span(), what, "remove devices"));
            }
        }
        Ok(())
    }

    fn steps(&self) -> Checked {
        for step in &self.scenario.steps {
            self.moment(&step.at)?;
            match &step.action {
                Action::Travel { devices, to } | Action::Steal { devices, to } => {
                    self.devices(devices)?;
                    if matches!(&step.action, Action::Steal { .. }) {
                        self.is_played(devices)?;
                    }
                    self.place(to)?;
                }
                Action::CoverageEnds { network, .. } => self.network(network)?,
                Action::RoamingEnds { network, of }
                | Action::RoamingBegins { network, of }
                | Action::Notice { network, of, .. } => {
                    self.network(network)?;
                    of.as_ref().map_or(Ok(()), |of| self.operator(of))?;
                }
                Action::Refuse { network, devices, .. } | Action::Accept { network, devices } => {
                    self.network(network)?;
                    self.devices(devices)?;
                }
                Action::Bar { devices, operator, .. } | Action::Unbar { devices, operator } => {
                    self.devices(devices)?;
                    operator.as_ref().map_or(Ok(()), |operator| self.operator(operator))?;
                }
                Action::CutPower { devices, .. } => self.devices(devices)?,
                Action::Retire { devices } => {
                    self.devices(devices)?;
                    self.is_played(devices)?;
                }
                Action::DeleteProfile { devices, operator } | Action::EnableProfile { devices, operator } => {
                    self.devices(devices)?;
                    self.operator(operator)?;
                }
                Action::Ask { devices, operator, .. } => {
                    self.is_asked(devices)?;
                    operator.as_ref().map_or(Ok(()), |operator| self.operator(operator))?;
                }
                Action::ChangeSmSr { devices, .. } => self.is_asked(devices)?,
                Action::ChangeEim { devices, .. } => {
                    self.devices(devices)?;
                    if !self.scenario.is_iot() {
                        let next = "write kind = \"iot\" in [[devices]]";
                        let what = "only IoT devices have an eIM";
                        return Err(self.source.error(devices.span(), what, next));
                    }
                }
                Action::Restart { party, .. } => {
                    let operators = self.scenario.operators.iter();
                    let known = operators.map(|operator| operator.sm_dp.get_ref().as_str());
                    let of_m2m = [
                        fault_places::SM_DP_PLACE,
                        fault_places::SM_SR_PLACE,
                        fault_places::SECOND_SM_SR_PLACE,
                    ];
                    let servers: Vec<&str> = match self.scenario.is_m2m() {
                        true => {
                            let count = if self.scenario.has_second_sm_sr() { 3 } else { 2 };
                            of_m2m.into_iter().take(count).collect()
                        }
                        false => {
                            let count = match (self.scenario.is_iot(), self.scenario.has_second_eim()) {
                                (true, true) => 2,
                                (is_iot, _) => usize::from(is_iot),
                            };
                            let eims = [fault_places::EIM_PLACE, fault_places::SECOND_EIM_PLACE];
                            known.chain(eims.into_iter().take(count)).collect()
                        }
                    };
                    let known: Vec<&str> = std::iter::once("platform").chain(servers).collect();
                    if !known.contains(&party.get_ref().as_str()) {
                        return Err(self.unknown("party", party.get_ref(), &known, party.span()));
                    }
                }
                Action::Pause { campaign } | Action::Resume { campaign } | Action::RollBack { campaign } => {
                    self.campaign(campaign)?;
                }
                Action::Grant { devices, .. }
                | Action::Withdraw { devices, .. }
                | Action::ChangeOwner { devices } => self.devices(devices)?,
                Action::RegisterImei { devices, country } => {
                    self.devices(devices)?;
                    self.place(&Place::In(country.clone()))?;
                }
            }
        }
        Ok(())
    }

    /// Checks the devices of a step that the operator of M2M devices performs.
    fn is_asked(&self, devices: &Spanned<Devices>) -> Checked {
        self.devices(devices)?;
        if self.scenario.is_m2m() {
            return Ok(());
        }
        let next = "use a campaign, or write kind = \"m2m\" in [[devices]]";
        let what = "this step is only for M2M devices";
        Err(self.source.error(devices.span(), what, next))
    }

    /// Checks the devices of a step that M2M devices do not support.
    fn is_played(&self, devices: &toml::Spanned<Devices>) -> Checked {
        match self.scenario.is_m2m() {
            false => Ok(()),
            true => {
                let what = "M2M devices cannot be retired or stolen";
                Err(self.source.error(devices.span(), what, "remove this step"))
            }
        }
    }

    fn expectations(&self) -> Checked {
        for expectation in &self.scenario.expectations {
            let here = |error: InvalidScenario| InvalidScenario { line: expectation.line, ..error };
            self.moment(&Spanned::new(0..0, expectation.at)).map_err(here)?;
            match &expectation.what {
                Expected::Devices { devices, conditions } => {
                    devices.as_ref().map_or(Ok(()), |devices| self.devices(devices))?;
                    for condition in conditions {
                        match condition {
                            Condition::On(plmn) => self.network(&Spanned::new(0..0, *plmn)).map_err(here)?,
                            Condition::With(plmn) | Condition::As(plmn) | Condition::Holds(plmn) => {
                                self.operator(&Spanned::new(0..0, *plmn)).map_err(here)?;
                            }
                            Condition::ManagedBy(_) if !self.scenario.is_m2m() => {
                                let what = "only M2M devices are managed by an SM-SR";
                                return Err(here(self.source.error(0..0, what, "remove sm_sr")));
                            }
                            Condition::ManagedByEim(_) if !self.scenario.is_iot() => {
                                let what = "only IoT devices are managed by an eIM";
                                return Err(here(self.source.error(0..0, what, "remove eim")));
                            }
                            Condition::In(country) => {
                                self.place(&Place::In(Spanned::new(0..0, *country))).map_err(here)?;
                            }
                            _ => {}
                        }
                    }
                }
                Expected::Count { devices, campaign, .. } => {
                    devices.as_ref().map_or(Ok(()), |devices| self.devices(devices))?;
                    campaign.as_ref().map_or(Ok(()), |campaign| self.campaign(campaign))?;
                }
                Expected::Campaign { campaign, .. } => self.campaign(campaign)?,
                Expected::Fault { .. } => {}
            }
        }
        Ok(())
    }

    fn moment(&self, at: &Spanned<At>) -> Result<rsp::time::Timestamp, InvalidScenario> {
        self.scenario.when(*at.get_ref()).ok_or_else(|| {
            let Scenario { begins, lasts, .. } = self.scenario;
            let what =
                format!("{} is outside the run, which begins {begins} and lasts {lasts}", at.get_ref());
            self.source.error(at.span(), what, "choose another time, or extend the run")
        })
    }

    fn devices(&self, devices: &Spanned<Devices>) -> Checked {
        for which in &devices.get_ref().0 {
            let groups = &self.scenario.groups;
            let Some(group) = groups.iter().find(|group| *group.name.get_ref() == which.group) else {
                let names: Vec<&str> = groups.iter().map(|group| group.name.get_ref().as_str()).collect();
                return Err(self.unknown("group of devices", &which.group, &names, devices.span()));
            };
            if let Part::Range(_, last) = which.part
                && last > *group.count.get_ref()
            {
                let what = format!("there are only {} {}", group.count.get_ref(), which.group);
                return Err(self.source.error(
                    devices.span(),
                    what,
                    "use smaller numbers, or raise the count",
                ));
            }
        }
        Ok(())
    }

    fn network(&self, plmn: &Spanned<Plmn>) -> Checked {
        let known = self.scenario.networks.iter().map(|network| *network.plmn.get_ref());
        self.known("network", plmn, known)
    }

    fn operator(&self, plmn: &Spanned<Plmn>) -> Checked {
        let known = self.scenario.operators.iter().map(|operator| *operator.network.get_ref());
        self.known("operator", plmn, known)
    }

    fn campaign(&self, name: &Spanned<String>) -> Checked {
        let known: Vec<&str> =
            self.scenario.campaigns.iter().map(|campaign| campaign.name.get_ref().as_str()).collect();
        match known.contains(&name.get_ref().as_str()) {
            true => Ok(()),
            false => Err(self.unknown("campaign", name.get_ref(), &known, name.span())),
        }
    }

    fn place(&self, place: &Place) -> Checked {
        match place {
            Place::Hears(networks) => networks.iter().try_for_each(|network| self.network(network)),
            Place::In(country) => {
                is_country(self.source, country, &self.scenario.book)?;
                let in_it = |network: &Network| {
                    let place = self.scenario.book.locate(*network.plmn.get_ref());
                    place.is_ok_and(|place| place.country == *country.get_ref())
                };
                match self.scenario.networks.iter().any(in_it) {
                    true => Ok(()),
                    false => {
                        let what = format!("there is no network in {}", country.get_ref());
                        let next =
                            "add a [[network]] there, or write hears = [] for a place without coverage";
                        Err(self.source.error(country.span(), what, next))
                    }
                }
            }
        }
    }

    fn known(&self, kind: &str, plmn: &Spanned<Plmn>, known: impl Iterator<Item = Plmn>) -> Checked {
        let known: Vec<Plmn> = known.collect();
        if known.contains(plmn.get_ref()) {
            return Ok(());
        }
        let names: Vec<String> = known.iter().map(Plmn::to_string).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Err(self.unknown(kind, &plmn.get_ref().to_string(), &names, plmn.span()))
    }

    fn unknown(&self, kind: &str, name: &str, known: &[&str], span: Range<usize>) -> InvalidScenario {
        let what = format!("there is no {kind} {name}");
        let mut known = known.to_vec();
        known.dedup();
        let next = match (nearest(name, &known), known.as_slice()) {
            (_, []) => format!("add a [[{}]]", if kind == "group of devices" { "devices" } else { kind }),
            (Some(near), _) => format!("did you mean {near}? Known: {}", known.join(", ")),
            (None, _) => format!("known: {}", known.join(", ")),
        };
        self.source.error(span, what, next)
    }

    fn twice<T: std::fmt::Display>(&self, kind: &str, name: &Spanned<T>) -> InvalidScenario {
        let what = format!("{kind} {} is defined twice", name.get_ref());
        self.source.error(name.span(), what, "merge the two, or rename one")
    }

    fn word(&self, name: &Spanned<String>, of: &str) -> Checked {
        let is_letter = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
        match !name.get_ref().is_empty() && name.get_ref().bytes().all(is_letter) {
            true => Ok(()),
            false => {
                let what = format!("{:?} is not a valid name of {of}", name.get_ref());
                Err(self.source.error(
                    name.span(),
                    what,
                    "use letters, digits and hyphens, such as \"cold-boxes\"",
                ))
            }
        }
    }
}
