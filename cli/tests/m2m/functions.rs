//! Every function of ES1, ES2, ES3, ES4 and ES7 over TLS between processes: successful, and refused
//! for each reason that can be caused from outside. The conversations are in the tables next to
//! this file; `es1.txt` explains their format.

use std::collections::{BTreeMap, HashMap};

use certs::m2m::{CardDefect, Owner};
use tokio::runtime::Runtime;

use crate::{
    eis,
    independent_peer::{IndependentPeer, Pending, between, ending},
    testbed::{LOCAL, Party, Profile, Testbed, host_names},
};

#[test]
fn es1_es2_and_es3_functions_succeed_or_are_refused() {
    let testbed = Testbed::new();
    play(&testbed, &["es1", "es2", "es3"]);
}

#[test]
fn es4_and_es7_functions_succeed_or_are_refused() {
    let testbed = Testbed::new();
    play(&testbed, &["es4", "es7"]);
}

/// Starts all parties and executes the tables row by row.
fn play(testbed: &Testbed, tables: &[&str]) {
    let runtime = Runtime::new().unwrap();
    let mut conversation = runtime.block_on(Conversation::among(testbed));
    let peers = [("eum", "other-EUM"), ("sm-dp", "other-SM-DP"), ("sm-sr", "other-SM-SR")]
        .map(|(role, name)| format!("{role}:{}", conversation.peers[name].peer()));
    let mut peers: Vec<&str> = peers.iter().flat_map(|peer| ["--peer", peer]).collect();
    // Operators have no configured address, so their callbacks go to their ReplyTo.
    peers.extend(["--allow-address", "any"]);
    let strange = conversation.peers["other-SM-SR"].peer();
    let stopped = format!("{STOPPED_SM_SR}@{}", crate::testbed::free());
    let _networks = testbed.networks(&[]);
    let _sm_sr = testbed.sm_sr(0, &peers);
    let _second = testbed.sm_sr(1, &peers);
    let _sm_dp = testbed.sm_dp(&["--sm-sr", &strange, "--sm-sr", &stopped, "--allow-address", "any"]);
    let mut device = None;
    let mut wrong = Vec::new();
    for table in tables {
        let file = format!("{}/tests/m2m/{table}.txt", env!("CARGO_MANIFEST_DIR"));
        for row in rows(&std::fs::read_to_string(file).unwrap()) {
            let printed = match row.who {
                "device" => {
                    device = Some(testbed.device(&[]));
                    continue;
                }
                "$" => conversation.run(testbed, &row),
                _ => runtime.block_on(conversation.row(&row)),
            };
            wrong.extend(printed.err().map(|printed| format!("{}\n{printed}\n", row.line)));
        }
    }
    drop(device);
    assert!(wrong.is_empty(), "{} rows have another result:\n{}", wrong.len(), wrong.join("\n"));
}

/// OID of an SM-SR that the SM-DP knows and that is not running.
const STOPPED_SM_SR: &str = "2.999.16.1";

/// Row of a table.
struct Row<'t> {
    who: &'t str,
    how: &'t str,
    whom: &'t str,
    function: &'t str,
    fields: &'t str,
    expected: &'t str,
    line: &'t str,
}

fn rows(table: &str) -> impl Iterator<Item = Row<'_>> {
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let mut words = columns[0].split_whitespace();
        let mut next = || words.next().unwrap_or_default();
        let (who, how, whom) = (next(), next(), next());
        let column = |at: usize| columns.get(at).copied().unwrap_or_default();
        Row { who, how, whom, function: column(1), fields: column(2), expected: column(3), line }
    })
}

/// State of a conversation: the peers, the servers, and the values of the words.
struct Conversation {
    peers: BTreeMap<&'static str, IndependentPeer>,
    parties: BTreeMap<&'static str, Party>,
    words: HashMap<String, String>,
    pending: HashMap<(String, String), Pending>,
}

impl IndependentPeer {
    fn peer(&self) -> String {
        format!("{}@{}", self.id, self.at)
    }
}

impl Conversation {
    async fn among(testbed: &Testbed) -> Self {
        let pki = &testbed.pki;
        let operator = |name: &str| pki.m2m_operator(name, &host_names()).unwrap();
        let server = |owner, name: &str| pki.m2m_server(owner, name, &host_names()).unwrap().tls;
        let anywhere = "127.0.0.1:0";
        let [first, second] = &testbed.operators;
        let mut peers = BTreeMap::new();
        for (name, credential, at) in [
            ("operator", operator(&first.name), first.at.as_str()),
            ("other-operator", operator(&second.name), &second.at),
            ("nobody", operator("Nobody"), anywhere),
            ("EUM", pki.m2m_eum(&host_names()).unwrap(), anywhere),
            ("other-EUM", operator("Another EUM"), anywhere),
            ("SM-DP", server(Owner::SmDp, &testbed.sm_dp.name), anywhere),
            ("other-SM-DP", server(Owner::SmDp, "Another SM-DP"), anywhere),
            ("other-SM-SR", server(Owner::SmSr, OTHER_SM_SR), anywhere),
        ] {
            peers.insert(name, IndependentPeer::new(pki, &credential, at).await);
        }
        let [sm_sr, second] = testbed.sm_srs.clone();
        let sm_dp = testbed.sm_dp.clone();
        let parties = BTreeMap::from([("SM-SR", sm_sr), ("SM-SR-2", second), ("SM-DP", sm_dp)]);
        let mut conversation = Self { peers, parties, words: HashMap::new(), pending: HashMap::new() };
        conversation.set_words(testbed);
        conversation
    }

    /// Sets the values of the words in the tables that vary between runs.
    fn set_words(&mut self, testbed: &Testbed) {
        let mut words = HashMap::new();
        let mut word = |name: &str, value: &str| drop(words.insert(name.to_owned(), value.to_owned()));
        let eid = |serial| cli::parties::eid_of_serial(&testbed.pki, serial).unwrap();
        word("card", &testbed.eid.to_string());
        let (asleep, new, elsewhere) = (eid(701), eid(702), eid(703));
        for (name, eid) in [("asleep", asleep), ("new", new), ("elsewhere", elsewhere)] {
            word(name, &eid.to_string());
        }
        word("lost", &eid(704).to_string());
        word("no-card", &eid(799).to_string());
        word("first", &testbed.first.iccid);
        for (name, profile) in ["A", "B", "C", "E"].into_iter().zip(&testbed.stock) {
            word(name, &profile.iccid);
        }
        for (name, number) in [("D", 98), ("no-profile", 99)] {
            word(name, &testbed::subscription::own_iccid(LOCAL, number).unwrap().to_string());
        }
        let strange = self.peers["other-SM-SR"].id.clone();
        let [sm_sr, second] = &testbed.sm_srs;
        word("SM-SR", &sm_sr.id.to_string());
        word("SM-SR-2", &second.id.to_string());
        word("at-SM-SR", &format!("{}@{}", sm_sr.id, sm_sr.at));
        word("at-SM-SR-2", &format!("{}@{}", second.id, second.at));
        word("other-SM-SR", &strange.to_string());
        word("stopped", STOPPED_SM_SR);
        word("operator", &testbed.operators[0].id.to_string());
        word("other-operator", &testbed.operators[1].id.to_string());
        word("first-number", &testbed.first.number);
        word("asleep-number", &testbed.stock[3].number);
        word("first-file", &testbed.first.file);
        word("SM-SR-at", &sm_sr.at);
        word("SM-DP-at", &testbed.sm_dp.at);

        for (name, eid, sm_sr) in [("new", new, &sm_sr.id), ("elsewhere", elsewhere, &strange)] {
            word(&format!("{name}:right"), &eis::xml(&eis::of(testbed, eid, sm_sr)));
            word(&format!("{name}:of-another"), &eis::xml(&eis::of(testbed, eid, &second.id)));
            word(&format!("{name}:another-card"), &eis::xml(&eis::of(testbed, asleep, sm_sr)));
            for (how, eis) in eis::wrong(testbed, eid, sm_sr) {
                word(&format!("{name}:{}", how.replace(' ', "-")), &eis);
            }
        }
        word("card:claimed", &eis::xml(&eis::of(testbed, testbed.eid, &strange)));

        let rule = |action: &str, qualification: &str| {
            format!(
                "<rps:Rule><rps:Subject>PROFILE</rps:Subject><rps:Action>{action}</rps:Action>\
                 <rps:Qualification>{qualification}</rps:Qualification></rps:Rule>"
            )
        };
        word("no-enabling", &rule("ENABLE", "Not-Allowed"));
        word("no-disabling", &rule("DISABLE", "Not-Allowed"));
        word("no-deleting", &rule("DELETE", "Not-Allowed"));
        word("auto-delete", &rule("DISABLE", "Auto-Delete"));
        word("properties", "<rps:Property key=\"colour\" value=\"green\"/>");
        for (name, Profile { imsi, number, .. }) in ["A-address", "B-address"].into_iter().zip(&testbed.stock)
        {
            let number = number.trim_start_matches('+');
            word(name, &format!("<rps:Imsi>{imsi}</rps:Imsi><rps:Msisdn>{number}</rps:Msisdn>"));
        }
        word("type", &profile_type(testbed));
        word(
            "failed",
            "<rps:Status>FAILED</rps:Status><rps:StatusCodeData><rps:Subject>8.7</rps:Subject>\
                        <rps:Reason>4.2</rps:Reason></rps:StatusCodeData>",
        );

        let pki = &testbed.pki;
        let ours = pki.m2m_card_credential(Owner::SmSr, OTHER_SM_SR).unwrap();
        word("certificate", &hex::encode_upper(ours.certificate.octets()));
        for (name, defect, owner) in [
            ("forged-certificate", CardDefect::ForgedSignature, Owner::SmSr),
            ("SM-DP-certificate", CardDefect::WrongOwner, Owner::SmSr),
        ] {
            let (broken, _) = pki.m2m_card_credential_with(defect, owner, OTHER_SM_SR).unwrap();
            word(name, &hex::encode_upper(broken));
        }
        word("point", &format!("04{}", "11".repeat(64)));
        word("signature", &"11".repeat(64));
        word("ISD-R", "A0000005591010FFFFFFFF8900000100");
        word("ECASD", "A0000005591010FFFFFFFF8900000200");
        self.words = words;
    }

    /// Replaces the words in braces by their values.
    fn expanded(&self, text: &str) -> String {
        let mut printed = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (word, after) = after.split_once('}').unwrap();
            printed.push_str(before);
            printed
                .push_str(self.words.get(word).unwrap_or_else(|| panic!("the word {word:?} has no value")));
            rest = after;
        }
        printed + rest
    }

    /// Converts `Name=value` pairs into XML elements.
    fn elements(&self, fields: &str) -> String {
        let element = |field: &str| {
            let (name, value) = field.split_once('=').unwrap();
            format!("<rps:{name}>{}</rps:{name}>", self.expanded(value))
        };
        fields.split_whitespace().map(element).collect()
    }

    /// Executes a row of a peer. Returns the actual result if it differs from the expected one.
    async fn row(&mut self, row: &Row<'_>) -> Result<(), String> {
        let who = &self.peers[row.who];
        let key = (row.who.to_owned(), row.function.to_owned());
        let fields = self.elements(row.fields);
        let expected = self.expanded(row.expected);
        let response = match row.how {
            ">" => who.call_and_wait(&self.parties[row.whom], row.function, &fields).await?,
            ">>" => {
                let pending = who.send_request(&self.parties[row.whom], row.function, &fields).await;
                self.pending.insert(key, pending);
                return Ok(());
            }
            "<<" => who.response(self.pending.remove(&key).unwrap()).await?,
            "^" => return who.reply(&self.parties[row.whom], row.function, &fields).await,
            "<" => {
                let element = format!("{}>", row.function);
                let is_it = |text: &str| text.contains(&element) && has(text, &expected).is_ok();
                let received = match row.function.ends_with("Request") {
                    // A request is kept, because it is still to be answered.
                    true => who.received_copy(is_it).await,
                    false => who.receive(is_it).await,
                };
                return received.map(drop);
            }
            "=" => {
                who.set_eis(&self.expanded(row.function), &fields);
                return Ok(());
            }
            other => panic!("{other:?} in {}", row.line),
        };
        let (how, parts) = expected.split_once(';').unwrap_or((&expected, ""));
        let ended = ending(&response);
        match ended.starts_with(how.trim()) {
            true => has(&response, parts),
            false => Err(format!("{ended} ({})", between(&response, "Message"))),
        }
    }

    /// Executes a row of a command line.
    fn run(&self, testbed: &Testbed, row: &Row<'_>) -> Result<(), String> {
        let arguments: Vec<String> =
            row.function.split_whitespace().map(|word| self.expanded(word)).collect();
        let output = testbed.run(&arguments).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        has(&String::from_utf8_lossy(&printed), &self.expanded(row.expected))
    }
}

/// Checks that a text contains each of these parts, and none of those marked with `!`.
fn has(text: &str, parts: &str) -> Result<(), String> {
    let is_so = |part: &str| match part.strip_prefix('!') {
        Some(part) => !text.contains(part),
        None => text.contains(part),
    };
    match parts.split(';').map(str::trim).find(|part| !is_so(part)) {
        Some(part) => Err(format!("{part:?} in {text}")),
        None => Ok(()),
    }
}

const OTHER_SM_SR: &str = "A strange SM-SR";

/// Returns the profile type of the profiles in stock.
fn profile_type(testbed: &Testbed) -> String {
    let octets = std::fs::read(&testbed.stock[0].file).unwrap();
    let package = profile::Package::decode(&octets).unwrap();
    let header = package.header().unwrap();
    header.profile_type.as_ref().map(|text| text.to_string()).unwrap_or_default()
}
