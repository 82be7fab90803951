//! Tests of the settings.

use clap::Command;

use super::*;

fn layer(text: &str) -> Layer {
    Layer::from_toml(Path::new("test.toml"), text).unwrap()
}

#[test]
fn flags_override_the_environment_and_the_environment_overrides_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("landfall.toml");
    std::fs::write(&file, "seed = 'from the file'\nsm-dp = 'file.example:1'\ncard = 'file.example:2'")
        .unwrap();
    let environment = |name: &str| match name {
        "LANDFALL_SEED" | "LANDFALL_SM_DP" => Some("environment:1".to_owned()),
        "LANDFALL_SM_DP_NAMES" => Some("a.example, b.example".to_owned()),
        "LANDFALL_DATA_DIR" => Some(folder.path().display().to_string()),
        _ => None,
    };
    let settings = Settings::from_sources(layer("seed = 'from a flag'"), None, environment).unwrap();
    assert_eq!(settings.seed, "from a flag");
    assert_eq!(settings.sm_dp, "environment:1");
    assert_eq!(settings.card, "file.example:2");
    assert_eq!(settings.network, "127.0.0.1:8480");
    assert_eq!(settings.admin.as_deref(), Some("127.0.0.1:8490"));
    assert_eq!(settings.sm_dp_names, ["a.example", "b.example"]);
    assert_eq!(settings.pki, folder.path().join("pki"));
}

#[test]
fn flags_of_a_command_and_of_those_above_it_become_settings() {
    let below =
        Command::new("serve").arg(Setting::SmDp.listen_with_tls()).args(Setting::flags(&[Setting::SmDpName]));
    let command = Command::new("sm-dp").args(Setting::global_flags(&[Setting::Pki])).subcommand(below);
    let given = "sm-dp --pki keys serve --listen host:1 --sm-dp-name a --sm-dp-name b";
    let matches = command.try_get_matches_from(given.split(' ')).unwrap();
    let read = Layer::from_flags(None, &matches);
    let expected = layer("pki = 'keys'\nsm-dp = 'host:1'\nsm-dp-names = ['a', 'b']");
    assert_eq!(Layer { sm_dp_listen: None, ..read.clone() }, expected);
    assert_eq!(read.sm_dp_listen, Some(vec!["host:1".to_owned()]));
}

#[test]
fn a_server_listens_at_an_address_for_each_curve() {
    let command = Command::new("serve").arg(Setting::SmDp.listen_with_tls());
    let matches = |given: &str| command.clone().try_get_matches_from(given.split(' '));
    let given = matches("serve --listen host:1=nist --listen host:2=brainpool --listen host:3").unwrap();
    let settings = Settings::of(Layer::from_flags(None, &given), PathBuf::new());
    assert_eq!((settings.sm_dp.as_str(), settings.sm_dp_curve), ("host:1", Some(Curve::P256)));
    let further = ["host:2=brainpool", "host:3"].map(|text| text.parse().unwrap());
    assert_eq!(settings.sm_dp_further, further);
    assert_eq!(further[0].curve, Some(Curve::BrainpoolP256r1));
    assert!(matches("serve --listen host:1=p521").is_err());
}

#[test]
fn the_key_of_the_records_comes_from_the_environment_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{}\n", "ab".repeat(32))).unwrap();
    let own = format!("records-key-file = '{}'", file.display());
    let settings = |key: Option<&str>| {
        let key = key.map(str::to_owned);
        Settings::from_sources(layer(&own), None, |name| key.clone().filter(|_| name == KEY_VARIABLE))
    };
    let from_file = settings(None).unwrap().records_key.read().unwrap();
    assert_eq!(from_file, settings(Some(&"ab".repeat(32))).unwrap().records_key.read().unwrap());
    assert!(settings(Some("short")).unwrap_err().what.contains(KEY_VARIABLE));
    std::fs::write(&file, "no key").unwrap();
    let fault = settings(None).unwrap().records_key.read().unwrap_err();
    assert!(fault.what.contains(file.to_str().unwrap()), "{fault}");
    assert_eq!(Settings::with_data_dir("x".into()).records_key.read().unwrap(), None);
}

#[test]
fn a_switch_in_the_environment_is_true_or_false() {
    let name = "LANDFALL_REMOVE_INSTALLED_PACKAGES";
    let settings = |value: &'static str| {
        let variable = move |asked: &str| (asked == name).then(|| value.to_owned());
        Settings::from_sources(Layer::default(), None, variable)
    };
    assert!(settings("true").unwrap().remove_installed_packages);
    assert!(!settings("false").unwrap().remove_installed_packages);
    assert!(settings("yes").unwrap_err().what.contains(name));
}

#[test]
fn the_admin_api_can_be_disabled() {
    let settings = Settings::from_sources(layer("admin = 'none'"), None, |_| None).unwrap();
    assert_eq!(settings.admin, None);
}

#[test]
fn the_error_names_an_unknown_setting() {
    let fault = Layer::from_toml(Path::new("landfall.toml"), "sm-pd = 'x'").unwrap_err();
    assert!(fault.to_string().contains("sm-pd"), "{fault}");
}
