use super::*;

const EXAMPLE: &str = include_str!("../../library/ninety-days-in-brazil.toml");

fn parse(text: &str) -> Result<Scenario, InvalidScenario> {
    Scenario::parse("example.toml", text)
}

#[test]
fn the_example_is_a_scenario() {
    let scenario = parse(EXAMPLE).unwrap();
    assert_eq!((scenario.groups.len(), scenario.operators.len(), scenario.networks.len()), (1, 2, 2));
    assert_eq!(scenario.when(At::End), Some(scenario.ends()));
    assert!(scenario.expectations.len() >= 4);
}

/// An error names the changed line, or the later line at which the parser notices the change.
#[test]
fn errors_have_a_line_a_problem_and_a_remedy() {
    for (from, to, what) in [
        ("lasts = \"120d\"", "lasts = \"120 days\"", "is not a duration; write it as in"),
        ("lasts = \"120d\"", "lasts = \"120 days\"", "lasts: \"120 days\" is not a duration"),
        ("count = 20", "count = \"twelve\"", "count: \"twelve\" is not a non-negative integer; docs/scen"),
        ("count = 20", "count = -1", "count: -1 is not a non-negative integer"),
        ("count = 20", "count = [1]", "count: [1] is not a non-negative integer"),
        ("in = \"BR\"", "in = 55", "in: 55 is not a string in quotes"),
        ("in = \"BR\"", "in = \"XX\"", "XX is not a country; use an ISO 3166-1 code such as BR"),
        ("lasts = \"120d\"", "last = \"120d\"", "unknown key last; did you mean lasts?"),
        ("plmn = \"724-05\"", "plmn = \"72405x\"", "72405x"),
        ("bearer = \"lte-m\"", "bearer = \"lte-n\"", "there is no bearer lte-n; did you mean lte"),
        (
            "bootstrap = \"234-99\"",
            "bootstrap = \"234-98\"",
            "there is no operator 234-98; did you mean 234-99?",
        ),
        ("count = 20", "count = 0", "1 to 1000000 devices"),
        ("in = \"BR\"", "in = \"AR\"", "there is no network in AR; add a [[network]] there"),
        (
            "devices = \"meters\"",
            "devices = \"metres\"",
            "there is no group of devices metres; did you mean meters?",
        ),
        ("at = \"100d\"", "at = \"130d\"", "130d is outside the run"),
        ("target = \"decided\"", "target = \"somewhere\"", "is not a campaign target"),
        ("[[campaign]]", "[campaign]", "campaign is a list of tables; write [[campaign]]"),
        ("name = \"home\"", "name = \"Home_1\"", "Home_1"),
    ] {
        assert!(EXAMPLE.contains(from), "{from}");
        let line = EXAMPLE.lines().position(|line| line.contains(from)).unwrap() + 1;
        let error = parse(&EXAMPLE.replacen(from, to, 1)).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert!(
            (error.line.max(1) - 1..=line).contains(&line) || error.line + 4 > line,
            "{error}, not {line}"
        );
    }
}

#[test]
fn invalid_steps_and_expectations_are_reported() {
    for (more, what) in [
        ("[[step]]\nat = \"1d\"\ndo = \"pause\"", ":LINE: the step pause needs campaign; add campaign"),
        (
            "[[step]]\nat = \"1d\"\ndo = \"cut-power\"\ndevices = \"meters\"\nnetwork = \"724-05\"",
            "the step cut-power has no key network; remove it; cut-power has the keys at, devices, lasts",
        ),
        ("[[step]]\nat = \"1d\"\ndo = \"cutpower\"", "did you mean"),
        ("[[expect]]\nat = \"1d\"", "this expectation is empty; add a condition on devices"),
        ("[[expect]]\ncount = \"moved\"", "count needs a limit; add exactly"),
        ("[[expect]]\ncount = \"moved\"\nregistered = true", "this expectation has several subjects"),
        ("[[expect]]\ncampaign = \"home\"\nis = \"over\"", "is not a known state; use one of draft"),
        (
            "[[expect]]\nfault = \"link/loose\"\nexactly = 1",
            "there is no fault named \"link/loose\"; `landfall faults`",
        ),
        ("[[fault]]\nwhat = \"link/loose\"", "there is no fault named"),
        ("[[fault]]\nwhat = \"tls/expired\"", "cannot occur in a scenario: its parties use no TLS"),
        ("[[fault]]\nwhat = \"records/commit-fails@sm-dp\"\ndevices = \"meters\"", "affects a server"),
        ("[[rule]]\nid = \"x\"", "missing field"),
    ] {
        let error = parse(&format!("{EXAMPLE}\n{more}\n")).unwrap_err().to_string();
        assert!(error.contains(what.trim_start_matches(":LINE: ")), "{more}\n{error}");
    }
}

#[test]
fn unknown_country_codes_are_found_everywhere() {
    for (from, to) in [
        ("[owner]", "[owner]\nregistered_in = [\"XX\"]"),
        ("count = 20", "count = 20\nimei_registered_in = [\"XX\"]"),
        ("target = \"decided\"", "target = \"decided\"\ncountry = \"XX\""),
        ("[[expect]]", "[[expect]]\nin = \"XX\"\n\n[[expect]]"),
        (
            "[[expect]]",
            "[[step]]\nat = \"1d\"\ndo = \"travel\"\ndevices = \"meters\"\nin = \"XX\"\n\n[[expect]]",
        ),
    ] {
        assert!(EXAMPLE.contains(from), "{from}");
        let error = parse(&EXAMPLE.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains("XX is not a country; use an ISO 3166-1 code"), "{error}");
    }
}

#[test]
fn reached_by_is_only_for_m2m_devices() {
    let over_https = |kind: &str| {
        let group = format!("count = 20\n{kind}reached_by = \"https\"");
        parse(&EXAMPLE.replacen("count = 20", &group, 1))
    };
    let error = over_https("").unwrap_err().to_string();
    assert!(error.contains("reached_by is only for M2M devices; remove reached_by"), "{error}");
    assert!(over_https("kind = \"m2m\"\n").unwrap().is_m2m());
}

#[test]
fn esipa_is_only_for_iot_devices_and_faults_of_coap_need_coap() {
    let with = |kind: &str, esipa: &str, fault: &str| {
        let group = format!("count = 20\n{kind}esipa = \"{esipa}\"");
        let text = EXAMPLE.replacen("count = 20", &group, 1);
        parse(&format!("{text}\n[[fault]]\nat = \"0d\"\nwhat = \"{fault}\"\n"))
    };
    let iot = "kind = \"iot\"\n";
    let error = with("", "coap", "link/lose-answer").unwrap_err().to_string();
    assert!(error.contains("esipa is only for IoT devices; remove esipa"), "{error}");
    let error = with(iot, "json", "coap/lose#10%").unwrap_err().to_string();
    assert!(error.contains("no devices use CoAP; write esipa = \"coap\""), "{error}");
    assert!(with(iot, "coap", "coap/lose#10%").unwrap().has_coap());
}

/// After any part of a valid file is removed or replaced, the parser returns a scenario, or an
/// error with a line of the file.
#[test]
fn every_invalid_file_gives_an_error_with_a_line() {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let without = |index: usize| {
        let rest = lines.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, line)| *line);
        rest.collect::<Vec<_>>().join("\n")
    };
    let with = |index: usize, value: &str| {
        let changed = lines.iter().enumerate().map(|(other, line)| match line.split_once('=') {
            Some((key, _)) if other == index => format!("{key}= {value}"),
            _ => (*line).to_owned(),
        });
        changed.collect::<Vec<_>>().join("\n")
    };
    let values = [
        "\"\"",
        "\"x\"",
        "0",
        "-1",
        "9e99",
        "nan",
        "true",
        "[]",
        "[[]]",
        "{}",
        "{ x = 1 }",
        "2027-01-01",
        "\"99999999999d\"",
        "\"0d\"",
        "\"\\u0000\"",
    ];
    let mut errors = 0;
    for index in 0..lines.len() {
        let texts = std::iter::once(without(index)).chain(values.iter().map(|value| with(index, value)));
        for text in texts {
            if let Err(error) = parse(&text) {
                assert!((1..=lines.len() + 1).contains(&error.line) && !error.what.is_empty(), "{error}");
                errors += 1;
            }
        }
    }
    assert!(errors > 300, "{errors}");
}

#[test]
fn unsupported_settings_of_m2m_devices_are_rejected() {
    const M2M: &str = include_str!("../../library/m2m-meters-come-home.toml");
    let kind = "kind = \"m2m\"";
    for (from, to, what) in [
        (kind, "kind = \"sgp02\"", "is not a known value; Use one of consumer, m2m"),
        (kind, "kind = \"m2m\"\nholds = [\"724-91\"]", "leaves the factory with one profile"),
        (kind, "kind = \"m2m\"\nprefers = \"724-91\"", "does not choose its profile"),
        (kind, "", "this step is only for M2M devices"),
        ("count = 8", "count = 1001", "at most 1000 M2M devices"),
        (
            "[[step]]",
            "[[step]]\nat = \"1d\"\ndo = \"retire\"\ndevices = \"meters\"\n\n[[step]]",
            "M2M devices cannot be retired",
        ),
        (
            "[[step]]",
            "[[step]]\nat = \"1d\"\ndo = \"restart\"\nparty = \"sm-dp+\"\n\n[[step]]",
            "there is no party sm-dp+",
        ),
    ] {
        assert!(M2M.contains(from), "{from}");
        let error = parse(&M2M.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}
