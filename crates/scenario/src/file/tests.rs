use super::*;

const EXAMPLE: &str = include_str!("../../library/ninety-days-in-brazil.toml");

fn parse(text: &str) -> Result<Scenario, NotAScenario> {
    Scenario::parse("example.toml", text)
}

#[test]
fn the_example_is_a_scenario() {
    let scenario = parse(EXAMPLE).unwrap();
    assert_eq!((scenario.groups.len(), scenario.operators.len(), scenario.networks.len()), (1, 2, 2));
    assert_eq!(scenario.when(At::End), Some(scenario.ends()));
    assert!(scenario.expectations.len() >= 4);
}

/// The line that an error names is the line that was changed, unless that line's absence shows elsewhere.
#[test]
fn what_is_wrong_is_said_with_its_line_and_what_helps() {
    for (from, to, what) in [
        ("lasts = \"120d\"", "lasts = \"120 days\"", "is no length of time; write it as in"),
        ("lasts = \"120d\"", "lasts = \"120 days\"", "lasts: \"120 days\" is no length"),
        ("count = 20", "count = \"twelve\"", "count: \"twelve\" is not a whole number from 0 on; docs/scen"),
        ("count = 20", "count = -1", "count: -1 is not a whole number from 0 on"),
        ("count = 20", "count = [1]", "count: [1] is not a whole number from 0 on"),
        ("in = \"BR\"", "in = 55", "in: 55 is not a text in quotes"),
        ("in = \"BR\"", "in = \"XX\"", "XX is no country; use a code after ISO 3166-1, such as BR"),
        ("lasts = \"120d\"", "last = \"120d\"", "nothing here is called last; did you mean lasts?"),
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
        ("at = \"100d\"", "at = \"130d\"", "130d is not in this run"),
        ("target = \"decided\"", "target = \"somewhere\"", "is no target of a campaign"),
        ("[[campaign]]", "[campaign]", "there may be many campaigns; write [[campaign]]"),
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
fn steps_and_expectations_say_what_they_take() {
    for (more, what) in [
        (
            "[[step]]\nat = \"1d\"\ndo = \"pause\"",
            ":LINE: the step pause does not say its campaign; add campaign",
        ),
        (
            "[[step]]\nat = \"1d\"\ndo = \"cut-power\"\ndevices = \"meters\"\nnetwork = \"724-05\"",
            "network means nothing to the step cut-power; leave it out; cut-power has at, devices, lasts",
        ),
        ("[[step]]\nat = \"1d\"\ndo = \"cutpower\"", "did you mean"),
        ("[[expect]]\nat = \"1d\"", "nothing is expected here; say what devices are"),
        ("[[expect]]\ncount = \"moved\"", "count does not say how many; add exactly"),
        ("[[expect]]\ncount = \"moved\"\nregistered = true", "several things are expected at once"),
        ("[[expect]]\ncampaign = \"home\"\nis = \"over\"", "is no state here; write one of draft"),
        (
            "[[expect]]\nfault = \"link/loose\"\nexactly = 1",
            "nothing is called \"link/loose\"; `landfall faults`",
        ),
        ("[[fault]]\nwhat = \"link/loose\"", "nothing is called"),
        ("[[fault]]\nwhat = \"records/commit-fails@sm-dp\"\ndevices = \"meters\"", "happens to a server"),
        ("[[rule]]\nid = \"x\"", "missing field"),
    ] {
        let error = parse(&format!("{EXAMPLE}\n{more}\n")).unwrap_err().to_string();
        assert!(error.contains(what.trim_start_matches(":LINE: ")), "{more}\n{error}");
    }
}

#[test]
fn a_code_that_no_country_has_is_found_wherever_one_is_written() {
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
        assert!(error.contains("XX is no country; use a code"), "{error}");
    }
}

#[test]
fn only_m2m_devices_are_reached_by_an_sm_sr() {
    let over_https = |kind: &str| {
        let group = format!("count = 20\n{kind}reached_by = \"https\"");
        parse(&EXAMPLE.replacen("count = 20", &group, 1))
    };
    let error = over_https("").unwrap_err().to_string();
    assert!(error.contains("only M2M devices are reached by an SM-SR; leave reached_by out"), "{error}");
    assert!(over_https("kind = \"m2m\"\n").unwrap().is_m2m());
}

/// Whatever is left out or replaced, there is a scenario or an error with a line of the file.
#[test]
fn no_file_is_so_bad_that_nothing_can_be_said_of_it() {
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
    let mut said = 0;
    for index in 0..lines.len() {
        let texts = std::iter::once(without(index)).chain(values.iter().map(|value| with(index, value)));
        for text in texts {
            if let Err(error) = parse(&text) {
                assert!((1..=lines.len() + 1).contains(&error.line) && !error.what.is_empty(), "{error}");
                said += 1;
            }
        }
    }
    assert!(said > 300, "{said}");
}

#[test]
fn of_m2m_devices_only_is_said_what_they_do() {
    const M2M: &str = include_str!("../../library/m2m-meters-come-home.toml");
    let kind = "kind = \"m2m\"";
    for (from, to, what) in [
        (kind, "kind = \"sgp02\"", "none of the words that are known here; Write one of consumer, m2m"),
        (kind, "kind = \"m2m\"\nholds = [\"724-91\"]", "leaves the factory with one profile"),
        (kind, "kind = \"m2m\"\nprefers = \"724-91\"", "does not choose its profile"),
        (kind, "", "only the operator of M2M devices asks for this"),
        ("count = 8", "count = 1001", "more than 1000 M2M devices"),
        (
            "[[step]]",
            "[[step]]\nat = \"1d\"\ndo = \"retire\"\ndevices = \"meters\"\n\n[[step]]",
            "nobody takes an M2M device out of service",
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
