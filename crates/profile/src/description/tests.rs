use super::*;
use crate::FileSystem;
use crate::check::check;
use crate::element::{FileSystemKind, ProfileElement};
use crate::identities::Identities;

const TEN_LINES: &str = r#"
iccid = "89724990000000000129"
imsi = "724990000000012"
msisdn = "+5511987654321"
[authentication]
ki = "000102030405060708090A0B0C0D0E0F"
opc = "101112131415161718191A1B1C1D1E1F"
[usim]
spn = "Local Brasil"
smsc = "+5511900000000"
"#;

fn full() -> Description {
    let more = r#"
services = [10, 12, 19, 21, 85, 122, 123, 124, 125, 132]
enabled-services = [1]
home-plmns = ["724-99 eutran ngran"]
operator-plmns = ["724-05", "724-10 4080"]
equivalent-plmns = ["724-98"]
forbidden-plmns = ["724-02"]
gid1 = "A1"
emergency = ["112", "190"]
[codes]
pin1 = "1234"
pin1-enabled = true
adm1 = "98765432"
[5g]
routing-indicator = "17"
suci-by-usim = true
suci-keys = [{ id = 27, profile = "A", key = "5A8D38864820197C3394B92613B20B91633CBD897119273BF8E4A6F4EEC0A650" }]
ursp = "0102"
[isim]
pcscf = ["pcscf.example.com"]
[[security-domain.keys]]
version = 2
type = "3des"
enc = "000102030405060708090A0B0C0D0E0F"
mac = "101112131415161718191A1B1C1D1E1F"
dek = "202122232425262728292A2B2C2D2E2F"
[[rfm]]
aid = "A00000055910100001"
tar = ["B00140"]
usim = true
[[identity]]
countries = ["724", "722"]
imsi = "724050000000001"
ki = "000102030405060708090A0B0C0D0E0F"
opc = "101112131415161718191A1B1C1D1E1F"
spn = "Elsewhere"
home-plmns = ["724-05", "724-06", "724-07"]
equivalent-plmns = ["724-11", "724-12"]
[[identity]]
countries = ["310", "311"]
imsi = "310410000000007"
mnc-digits = 3
access-classes = [7, 11]
smsc = "+13120000000"
"#;
    Description::parse(&format!("{TEN_LINES}{more}")).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn ten_lines_build_a_profile_that_decompiles_to_the_same_lines() {
    let description = Description::parse(TEN_LINES).unwrap();
    let package = description.build().unwrap_or_else(|e| panic!("{e}"));
    let back = decompile(&package).unwrap();
    assert!(back.by_terms_alone, "{}", back.description.to_toml());
    assert_eq!(back.description.build().unwrap().encode(), package.encode());
    assert_eq!(back.description.imsi, description.imsi);
    assert_eq!(back.description.msisdn, description.msisdn);
    assert_eq!(back.description.usim.smsc, description.usim.smsc);
    let again = Description::parse(&back.description.to_toml()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(again, back.description);
}

#[test]
fn the_test_algorithm_ignores_opc_so_any_opc_is_described() {
    let with = |algorithm: &str, opc: &str| {
        let text =
            TEN_LINES.replace("opc = \"101112131415161718191A1B1C1D1E1F\"", &format!("opc = \"{opc}\""));
        let text =
            text.replace("[authentication]", &format!("[authentication]\nalgorithm = \"{algorithm}\""));
        Description::parse(&text).unwrap_or_else(|e| panic!("{e}")).build()
    };
    let long = "10".repeat(28);
    let package = with("test", &long).unwrap_or_else(|e| panic!("{e}"));
    let back = decompile(&package).unwrap();
    assert_eq!(back.description.build().unwrap_or_else(|e| panic!("{e}")).encode(), package.encode());
    for algorithm in ["milenage", "tuak"] {
        let error = with(algorithm, &long).unwrap_err().to_string();
        assert!(error.contains("authentication.opc: it has 28 octets"), "{error}");
    }
}

#[test]
fn every_term_is_built_into_the_package_and_decompiled() {
    for format in [Format::V2_3, Format::V3_3] {
        for files in [FilesBy::Templates, FilesBy::Paths] {
            let description = Description { format, files, ..full() };
            let package = description.build().unwrap_or_else(|e| panic!("{format} {files:?}: {e}"));
            let back = decompile(&package).unwrap_or_else(|e| panic!("{format} {files:?}: {e}"));
            let text = back.description.to_toml();
            let again = Description::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(
                again.build().unwrap_or_else(|e| panic!("{}", e.in_text(&text))).encode(),
                package.encode(),
                "{format} {files:?}"
            );
            let (is, was) = (&back.description, &description);
            assert_eq!((is.iccid, is.imsi, &is.msisdn), (was.iccid, was.imsi, &was.msisdn));
            assert_eq!(is.five_g.suci_keys, was.five_g.suci_keys, "{format} {files:?}");
            assert_eq!(is.usim.home_plmns, was.usim.home_plmns, "{format} {files:?}");
            assert_eq!(is.usim.gid1, was.usim.gid1, "{format} {files:?}");
        }
    }
}

#[test]
fn files_made_by_path_are_those_of_the_templates() {
    let files = |files| {
        let package = Description { files, ..full() }.build().unwrap_or_else(|e| panic!("{e}"));
        if files == FilesBy::Paths {
            let kinds = package.elements.iter().filter_map(|element| match element {
                ProfileElement::FileSystem(element) => Some(element.kind),
                _ => None,
            });
            assert_eq!(kinds.collect::<Vec<_>>(), [FileSystemKind::Mf]);
        }
        let made = FileSystem::build(&package).unwrap();
        made.all()
            .map(|(index, file)| {
                let content = made.content(index).map(<[u8]>::to_vec);
                (
                    made.path_of(index),
                    file.kind.clone(),
                    file.sfi,
                    file.access_rule,
                    file.special_information,
                    content,
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(files(FilesBy::Paths), files(FilesBy::Templates));
}

#[test]
fn identities_are_built_into_their_file_and_decompiled() {
    for files in [FilesBy::Templates, FilesBy::Paths] {
        let description = Description { files, ..full() };
        let package = description.build().unwrap();
        let made = FileSystem::build(&package).unwrap();
        let Identities(table) = Identities::of(&made).unwrap().unwrap();
        let shown: Vec<String> = table.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "elsewhere: IMSI 724990000000012, the profile's keys, 10 files",
                "724, 722: IMSI 724050000000001, keys of its own, 10 files",
                "310, 311: IMSI 310410000000007, the profile's keys, 10 files",
            ]
        );
        // With the profile's own identity the files are unchanged, apart from padding.
        for file in &table[0].files {
            let index = made.by_path(&file.path).unwrap();
            let is = made.record(index, 1).or_else(|| made.content(index)).unwrap();
            assert!(is.starts_with(&file.contents), "{:?}", file.path);
        }
        let is_about_identities = |rule: &str| rule.starts_with("identit") || rule == "load-package";
        assert_eq!(check(&package).iter().find(|finding| is_about_identities(finding.rule)), None);
        let back = decompile(&package).unwrap();
        let mut expected = description.identity.clone();
        // The decompiled identity contains the default value explicitly.
        expected[0].mnc_digits = Some(2);
        assert_eq!(back.description.identity, expected, "{files:?}");
        assert!(back.by_terms_alone, "{files:?}");
    }
}

#[test]
fn an_invalid_identity_is_reported_with_its_line() {
    let one = "iccid = '89724990000000000129'\nimsi = '234150000000012'\n[authentication]\n\
               ki = '000102030405060708090A0B0C0D0E0F'\nopc = '101112131415161718191A1B1C1D1E1F'\n";
    for (identity, line, expected) in [
        ("countries = []\nimsi = '724050000000001'", 7, "the identity has no country"),
        ("countries = ['BR']\nimsi = '724050000000001'", 7, "not a mobile country code"),
        ("countries = ['724', '724']\nimsi = '724050000000001'", 7, "another identity is for 724 too"),
        ("countries = ['724']\nimsi = '234150000000012'", 8, "another identity has the IMSI 234150000000012"),
        ("countries = ['724']\nimsi = '7240500x'", 8, "not an IMSI"),
        (
            "countries = ['724']\nimsi = '724050000000001'\nki = '000102030405060708090A0B0C0D0E0F'",
            6,
            "opc: it is missing",
        ),
        ("countries = ['724']\nimsi = '724050000000001'\nki = '00'\nopc = '00'", 9, "it has 1 octets"),
        ("countries = ['724']\nimsi = '724050000000001'\nmnc-digits = 4", 9, "2 or 3 digits"),
        ("countries = ['724']\nimsi = '724050000000001'\nsmsc = '+551'", 9, "no SMSC address"),
    ] {
        let text = format!("{one}[[identity]]\n{identity}\n");
        let error = match Description::parse(&text).map(|description| description.build()) {
            Ok(Err(mistakes)) | Err(mistakes) => mistakes.in_text(&text).to_string(),
            Ok(Ok(_)) => panic!("{identity}"),
        };
        assert!(error.contains(expected) && error.contains(&format!("line {line}: ")), "{error}");
    }
}

#[test]
fn a_mistake_says_its_line() {
    let error = |text: &str| Description::parse(text).unwrap_err().to_string();
    assert!(
        error("iccid = '89724990000000000129'\nimsy = '1'\n").starts_with("line 2: unknown field `imsy`")
    );
    assert!(error("\n\n[codes]\npin1 = '12'\n").starts_with("line 4: a code has 4 to 8 digits"));
    assert!(error("imsi = 5").starts_with("line 1: "));
    assert!(error(&"#".repeat(LONGEST + 1)).contains("the description has "));
    let text = "iccid = '89724990000000000129'\n[authentication]\nki = '00'\n";
    let mistakes = Description::parse(text).unwrap().build().unwrap_err().in_text(text).to_string();
    let lines: Vec<&str> = mistakes.lines().collect();
    assert_eq!(lines.len(), 3, "{mistakes}");
    assert!(lines[0].starts_with("imsi: it is missing"), "{mistakes}");
    assert!(lines[1].starts_with("line 2: authentication.opc: it is missing"), "{mistakes}");
    assert!(lines[2].starts_with("line 3: authentication.ki: it has 1 octets"), "{mistakes}");
}

#[test]
fn an_invalid_element_is_reported_with_its_place_and_reason() {
    let wrong = |text: &str| Description::parse(text).unwrap().build().unwrap_err().in_text(text).to_string();
    let error =
        wrong("\n[[element]]\n[element.end]\nend-header = { mandated = true, identification = 'x' }\n");
    assert!(
        error.starts_with("line 2: element[0]: end.end-header.identification: a whole number"),
        "{error}"
    );
    let error = wrong("[[element]]\n[element.usim]\nef-imsi = [{ fillFileContent = '{ef-imsi}' }]\n");
    assert!(error.contains("{ef-imsi} has no value"), "{error}");
    let error =
        wrong("imsi = '001010123456789'\n[[element]]\n[element.end]\nend-header = { identification = 1 }\n");
    assert!(error.contains("line 1: imsi: no element contains {ef-imsi}"), "{error}");
}

#[test]
fn metadata_are_derived_from_the_files() {
    let text = format!(
        "{TEN_LINES}[metadata]\nprofile-name = 'Name'\npolicy-rules = ['delete-not-allowed']\nclass = 'test'\n\
         fallback-allowed = true\n"
    );
    let description = Description::parse(&text).unwrap();
    let installed = InstalledProfile::of(&description.build().unwrap(), &Capabilities::default()).unwrap();
    let metadata = store_metadata(&installed, &description.metadata.overrides(), "smdp.example.com").unwrap();
    assert_eq!(metadata.iccid, description.iccid.unwrap());
    assert_eq!(metadata.service_provider_name, "Local Brasil");
    assert_eq!(metadata.profile_name, "Name");
    assert_eq!(metadata.profile_owner.unwrap().mcc_mnc, [0x27, 0xF4, 0x99]);
    assert!(metadata.profile_policy_rules.is_some());
    assert_eq!((metadata.fallback_allowed, metadata.ecall_indication), (Some(true), None));
}

#[test]
fn a_written_description_is_read_unchanged_for_any_element_names() {
    let text = "[[element]]\n'a b' = [1, [2]]\nc = 3\n[element.'d.e']\n'\"' = { '' = \"\\u007F\" }\n";
    let description = Description::parse(text).unwrap();
    assert_eq!(
        Description::parse(&description.to_toml()).as_ref(),
        Ok(&description),
        "{}",
        description.to_toml()
    );
}

#[test]
fn the_schema_equals_the_one_in_the_documents() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/profile.schema.json");
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(path, schema()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == schema(),
        "docs/profile.schema.json is not up to date: run this test with LANDFALL_REGENERATE=1"
    );
}
