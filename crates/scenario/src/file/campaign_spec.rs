//! Converts a campaign of a scenario to a campaign specification of the platform.

use fleet::{CampaignSpec, Canary, Destination, Devices, Pace, Retries, Share, Stop, Weekday, Window};
use rsp::ids::{Eid, Plmn};
use world::Fault;

use super::fleet::{Campaign, Weekday as FileWeekday};
use super::values::{Amount, Length};

/// Converts a campaign to a platform specification.
pub(crate) fn campaign_spec(campaign: &Campaign, eids: Option<Vec<Eid>>) -> Result<CampaignSpec, Fault> {
    let bad = |why: String| Fault::usage("cannot create the campaign", why, "correct it in the scenario");
    let id = campaign.name.get_ref().parse().map_err(|why: fleet::NotACampaignId| bad(why.to_string()))?;
    let target = match campaign.target.get_ref().as_str() {
        "decided" => Destination::Decided,
        plmn => Destination::Network(plmn.parse::<Plmn>().map_err(|why| bad(why.to_string()))?),
    };
    let devices = match eids {
        Some(eids) => Devices::Listed(eids.into_iter().collect()),
        None => Devices::Selected(fleet::Selection {
            country: campaign.country.as_ref().map(|country| *country.get_ref()),
            ..fleet::Selection::default()
        }),
    };
    let open_device = |number: f64| match number.fract() == 0.0 && number <= f64::from(u32::MAX) {
        true => Ok(number as u32),
        false => {
            Err(Fault::usage("cannot create the campaign", format!("{number} is not a whole number"), WHOLE))
        }
    };
    let share = |amount: Amount| match amount {
        Amount::Number(number) => open_device(number).map(Share::Count),
        Amount::Percent(percent) => open_device(percent).map(Share::Percent),
    };
    let hours = |length: Length| u32::try_from(length.0.as_secs().div_ceil(3600)).unwrap_or(u32::MAX);
    let canary = match &campaign.canary {
        Some(canary) => Some(Canary { devices: share(canary.devices)?, wait_hours: hours(canary.wait) }),
        None => None,
    };
    let stop = campaign.stop.clone().unwrap_or_default();
    let failed_percent = match stop.failed {
        Some(Amount::Number(number) | Amount::Percent(number)) => Some(open_device(number)?),
        None => None,
    };
    Ok(CampaignSpec {
        id,
        target,
        devices,
        standing: campaign.standing.unwrap_or(target == Destination::Decided && campaign.canary.is_none()),
        pace: Pace { per_hour: campaign.per_hour, at_once: campaign.at_once },
        canary,
        stop: Stop { failed_percent, after: stop.after, lost: stop.lost },
        windows: campaign
            .windows
            .iter()
            .map(|window| Window {
                days: window.days.iter().copied().map(weekday).collect(),
                from_hour: *window.from.get_ref(),
                until_hour: *window.until.get_ref(),
            })
            .collect(),
        retries: Retries {
            times: campaign.retries.times,
            after_hours: hours(campaign.retries.after),
            rest_days: hours(campaign.retries.rest).div_ceil(24),
        },
    })
}

/// The remedy in the error about a fractional number. The platform supports only whole numbers and
/// whole percentages.
const WHOLE: &str =
    "use a whole number of devices, or a whole percentage such as \"5%\", for canary and stop";

fn weekday(day: FileWeekday) -> Weekday {
    match day {
        FileWeekday::Mon => Weekday::Mon,
        FileWeekday::Tue => Weekday::Tue,
        FileWeekday::Wed => Weekday::Wed,
        FileWeekday::Thu => Weekday::Thu,
        FileWeekday::Fri => Weekday::Fri,
        FileWeekday::Sat => Weekday::Sat,
        FileWeekday::Sun => Weekday::Sun,
    }
}
