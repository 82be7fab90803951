//! The built-in scenarios. `docs/scenarios.md` lists them.

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../library/", $name, ".toml")))),+]
    };
}

const FILES: &[(&str, &str)] = files![
    "a-visitor-stays-as-it-is",
    "australia-six-in-twelve",
    "basement-without-coverage",
    "border-flapping",
    "brazil-chile",
    "busy-hour",
    "canary-that-must-stop",
    "carrier-ends-roaming",
    "china-ban",
    "contract-ends-and-bars",
    "corrupt-package",
    "drone-across-borders",
    "egypt-approval",
    "four-months-in-germany",
    "full-card",
    "gulf-registration",
    "identity-that-is-refused",
    "india-six-months",
    "india-sold-trackers",
    "iot-both-networks-fail",
    "iot-canary-that-must-stop",
    "iot-coap-on-nb-iot",
    "iot-eim-away-for-a-day",
    "iot-handover-to-second-eim",
    "iot-lost-answers",
    "iot-meters-come-home",
    "iot-network-lost-and-back",
    "iot-new-network-refuses",
    "iot-platform-crashes",
    "iot-power-cuts",
    "iot-roll-back",
    "iot-rules-of-two-countries",
    "iot-sm-dp-away",
    "iot-three-devices",
    "lost-notifications",
    "m2m-cars-over-https",
    "m2m-fleet-changes-its-sm-sr",
    "m2m-meters-by-the-rules",
    "m2m-meters-come-home",
    "m2m-network-fails-for-a-week",
    "m2m-new-network-refuses",
    "m2m-sm-sr-dies-in-the-middle",
    "m2m-trucks-in-turkiye",
    "meters-on-nb-iot",
    "network-sunset",
    "ninety-days-in-brazil",
    "north-america-terms",
    "north-america-throttling",
    "one-identity-is-welcome",
    "outage-during-the-swap",
    "paused-over-a-restart",
    "payment-terminal-failover",
    "platform-crashes",
    "power-cut-at-a-border",
    "power-cuts",
    "profiles-on-board",
    "registration-refused",
    "roll-back",
    "server-crashes",
    "sm-dp-away-for-a-day",
    "somebody-deletes-a-profile",
    "stock-runs-out",
    "stolen-sim",
    "tracker-on-three-identities",
    "turkiye-120-days",
    "turkiye-imei-registration",
    "usa-share-of-roaming",
    "weekend-window",
    "wrong-apn",
    "wrong-key-at-the-server",
];

/// All built-in scenarios as pairs of name and text, ordered by name.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().copied()
}

/// The text of the built-in scenario with this name.
pub fn named(name: &str) -> Option<&'static str> {
    all().find(|(known, _)| *known == name).map(|(_, text)| text)
}

/// The name of the built-in scenario that is most similar to `name`, if one is similar.
pub fn nearest(name: &str) -> Option<&'static str> {
    let names: Vec<&'static str> = all().map(|(known, _)| known).collect();
    crate::file::nearest(name, &names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Scenario;

    #[test]
    fn every_file_of_the_folder_is_built_in_and_valid() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("library");
        let files =
            std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<String> = files.map(|file| file.trim_end_matches(".toml").to_owned()).collect();
        files.sort_unstable();
        assert_eq!(all().map(|(name, _)| name).collect::<Vec<_>>(), files);
        let wrong: Vec<String> = all()
            .filter_map(|(name, text)| Scenario::parse(name, text).err())
            .map(|error| error.to_string())
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_file_has_expectations_and_at_most_110_lines() {
        for (name, text) in all() {
            let scenario = Scenario::parse(name, text).unwrap();
            assert!(scenario.expectations.len() >= 2 && text.lines().count() <= 110, "{name}");
        }
    }
}
