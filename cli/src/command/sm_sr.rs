//! `landfall sm-sr`: the SM-SR of M2M devices.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{Args, Subcommand};
use net::smpp::EsmeSettings;
use rsp::{
    ids::{Eid, Iccid, Oid, SmdpAddress},
    sgp02::eis::Eis,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use sm_sr::{
    es5::Es5Config,
    records::{AUDIT, CARDS, Card, OPERATIONS, PEERS, STORED_FORM},
};
use world::{Fault, FaultKind, PhoneNumber, Records, Tx};

use super::smsc;
use crate::{
    faults::{ActiveFaults, FaultOptions, FaultPoints},
    hidden_value::HiddenValue,
    json_schema::{CommandOutput, document, lines},
    m2m::{
        eis::{self as m2m_eis, Audited},
        sm_sr as m2m,
    },
    output::{Lines, Table, print, print_json, remark},
    parties::{self, sm_sr_peers},
    peers::AllowAddress,
    readiness::{Ready, ReadyOptions},
    settings::{ListenAddress, Setting, Settings},
};

/// SM-SR of M2M devices: server and records
#[derive(Debug, Args)]
#[command(args = Setting::global_flags(&[Setting::Records]))]
pub struct Command {
    /// Name of the SM-SR; its OID, certificates and records depend on it
    #[arg(long, global = true, default_value = "Landfall SM-SR")]
    name: String,
    #[command(subcommand)]
    what: What,
}

/// Action
#[derive(Debug, Subcommand)]
enum What {
    /// Serve EUMs, SM-DPs, operators and SM-SRs (ES1, ES3, ES4, ES7), and cards (ES5)
    Serve(Box<Serve>),
    /// List the cards
    List,
    /// Show a card: its EIS, pending functions and audit trail
    Eis {
        /// EID of the card
        eid: Eid,
    },
    /// List the configured peers
    Peers,
}

/// Options of the SM-SR server
#[derive(Debug, Args)]
#[command(args = Setting::flags(&[Setting::Pki, Setting::Seed]))]
struct Serve {
    /// Listening address for other servers, with =nist or =brainpool for one curve (repeatable)
    #[arg(long, value_name = "HOST:PORT[=CURVE]", default_value = "127.0.0.1:8445")]
    listen: Vec<ListenAddress>,
    /// Address announced to other servers [default: the listening address]
    #[arg(long, value_name = "HOST:PORT")]
    announce: Option<SmdpAddress>,
    /// Additional name in the certificate (repeatable)
    #[arg(long = "also-known-as", value_name = "NAME")]
    names: Vec<String>,
    /// Listening address for HTTPS sessions of cards, or `none` to use short messages only
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8446")]
    listen_cards: String,
    /// Address of these sessions announced to cards [default: the listening address]
    #[arg(long, value_name = "IP:PORT")]
    announce_cards: Option<SocketAddr>,
    /// Time limit for a card's first response to a short message, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    answer_within: u64,
    /// Number to which cards send short messages
    #[arg(long, value_parser = parties::number, value_name = "DIGITS", default_value = "+447700900001")]
    number: PhoneNumber,
    /// SMPP account at an SMSC; without one the SM-SR cannot send short messages
    #[arg(long, value_name = "USER@HOST:PORT", value_parser = HiddenValue(account))]
    smsc: Option<SmppAccount>,
    /// File with the password of the SMPP account [default: LANDFALL_SMSC_PASSWORD]
    #[arg(long, value_name = "FILE")]
    smsc_password_file: Option<PathBuf>,
    /// Configured peer (repeatable)
    #[arg(long = "peer", value_name = "ROLE:WHO[@HOST:PORT]", help = PEER_HELP)]
    peers: Vec<sm_sr_peers::PeerArgument>,
    /// TOML file of peers, each a [[peer]] table
    #[arg(long = "peers", value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    allow_address: AllowAddress,
    #[command(flatten)]
    faults: FaultOptions,
    #[command(flatten)]
    ready: ReadyOptions,
}

const PEER_HELP: &str = "Configured peer (repeatable). ROLE is eum, sm-dp, operator or sm-sr; WHO is an OID, or the name \
of the peer in the PKI; the address is that of its callbacks and notifications";

/// A card that the SM-SR manages.
#[derive(JsonSchema, Serialize)]
struct ListedCard {
    eid: Eid,
    /// The enabled profile.
    enabled: Option<Iccid>,
    /// The profile with the fall-back attribute.
    fallback: Option<Iccid>,
    /// Number of profiles.
    profiles: usize,
}

/// The records of a card.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownCard<'a> {
    eis: &'a Eis,
    /// Operations that were not done since the card was taken over.
    undone: Vec<String>,
    /// Functions that are not finished.
    functions: Vec<PendingFunction>,
    audit_trail: Vec<Audited>,
}

/// A function that is not finished.
#[derive(JsonSchema, Serialize)]
struct PendingFunction {
    function: &'static str,
    /// The step that the function is in.
    step: &'static str,
    received: Timestamp,
    /// The end of the validity period.
    expires: Timestamp,
}

/// A configured peer.
#[derive(JsonSchema, Serialize)]
struct ListedPeer {
    id: Oid,
    name: String,
    role: &'static str,
    /// URI of its callbacks and notifications.
    endpoint: Option<String>,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    lines::<Ready>("sm-sr serve"),
    document::<Vec<ListedCard>>("sm-sr list"),
    document::<ShownCard<'static>>("sm-sr eis"),
    document::<Vec<ListedPeer>>("sm-sr peers"),
];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A file, a record or a socket fails.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let records = settings.data_dir.join(format!("{}.sqlite", file_name(&self.name)));
        match self.what {
            What::Serve(serve) => serve.run(settings, &self.name, &records, json).await,
            What::List => list(settings, &records, json).await,
            What::Eis { eid } => eis(settings, &records, eid, json).await,
            What::Peers => peers(settings, &records, json).await,
        }
    }
}

/// Converts the name into a part of a path. Different names give different parts, which no other
/// party uses.
fn file_name(name: &str) -> String {
    let escaped = |octet: u8| match octet {
        b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(octet).to_string(),
        other => format!("%{other:02X}"),
    };
    format!("sm-sr-{}", name.bytes().map(escaped).collect::<String>())
}

impl Serve {
    async fn run(
        self,
        settings: &Settings,
        name: &str,
        records: &std::path::Path,
        json: bool,
    ) -> Result<(), Fault> {
        let _claim = net::Claim::take(&settings.data_dir, &file_name(name))?;
        if self.smsc.is_none() {
            remark(
                "no SMSC configured (--smsc): cards are only reachable when they open a session themselves",
            );
        }
        let (mut listen, mut cards) = (self.listen.clone(), self.listen_cards.clone());
        let run = async |active_faults: &ActiveFaults| {
            let addresses = ListenAddresses { listen: &mut listen, cards: &mut cards };
            self.once(settings, name, records, addresses, active_faults, json).await
        };
        self.faults.live(&FaultPoints::SM_SR, settings, run).await
    }

    /// Runs the server until it is stopped or an injected fault restarts it.
    async fn once(
        &self,
        settings: &Settings,
        name: &str,
        records: &std::path::Path,
        ListenAddresses { listen, cards }: ListenAddresses<'_>,
        active_faults: &ActiveFaults,
        json: bool,
    ) -> Result<(), Fault> {
        let startup = self.ready.begin()?;
        let (world, _) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let listeners = parties::listen_with_tls(listen, "--listen").await?;
        // A server that an injected fault restarts keeps its ports.
        *listen = listeners.iter().map(|listener| listener.listens.clone()).collect();
        let first = listen.first().map(|first| first.address.clone()).unwrap_or_default();
        // A host name in the listening address is announced. If the address is unspecified
        // (0.0.0.0), --announce must name one.
        let is_address = |place: &str| place.parse::<SocketAddr>().is_ok();
        let address = self.announce.as_ref().map(|address| address.as_str().to_owned());
        let address = address.or_else(|| (!is_address(&first)).then(|| first.clone()));
        let further = address.iter().chain(listen.iter().map(|listens| &listens.address));
        let further = further.map(|address| parties::host_of(address).to_owned());
        let further = further.chain(self.names.iter().cloned());
        let names = crate::pki::names_of(&first, &further.collect::<Vec<_>>())?;
        let cards = match cards.as_str() {
            "none" => None,
            _ => Some(parties::listen_at(cards, "--listen-cards").await?),
        };
        let party = m2m::start(m2m::Setup {
            pki: &pki,
            name,
            listeners,
            address,
            names: &names,
            cards,
            cards_address: self.announce_cards,
            number: self.number.clone(),
            smsc: self
                .smsc
                .as_ref()
                .map(|smsc| smsc.settings(self.smsc_password_file.as_deref()))
                .transpose()?,
            records: active_faults.records("sm-sr", parties::open_records(settings, records, STORED_FORM)?),
            world: &world,
            events: Arc::new(Lines::new(world.now(), json)),
            client: net::Client::default(),
            messages: None,
            reply_addresses: self.allow_address.allowed(),
            patience: Some(patience(self.number.clone(), self.answer_within)),
            active_faults,
        })?;
        let mut all = self.peers.clone();
        if let Some(file) = &self.file {
            all.extend(sm_sr_peers::read(file)?);
        }
        for peer in sm_sr_peers::register_peers(&party.server, &pki, &all).await? {
            let at = peer.endpoint.map_or("without notification address".to_owned(), |at| format!("at {at}"));
            remark(&format!("peer {} {:?}: {}, {at}", peer.role.name(), peer.name, peer.id));
        }
        match party.card_side.https {
            Some(https) => remark(&format!("cards at {https} (HTTPS with their pre-shared keys)")),
            None => remark("no HTTPS listener for cards (--listen-cards none): short messages only"),
        }
        remark(&format!("SM-SR {} at {} (ES1, ES3, ES4 and ES7); Ctrl-C stops it", party.id, party.address));
        let ready = Ready::of("sm-sr serve", settings)
            .at("sm_sr", &party.address)
            .at_further("sm_sr", party.listeners().get(1..).unwrap_or_default())
            .at_optional("cards", party.card_side.https);
        startup.announce(&ready, json)?.requested().await;
        party.stop().await;
        Ok(())
    }
}

/// Listening addresses; port 0 is replaced by the port that was chosen.
struct ListenAddresses<'a> {
    listen: &'a mut Vec<ListenAddress>,
    cards: &'a mut String,
}

/// Returns the time limits for responses of cards.
fn patience(number: PhoneNumber, answer_within: u64) -> Es5Config {
    let seconds = |times: u64| Duration::from_secs(answer_within.saturating_mul(times));
    Es5Config {
        answer_within: seconds(1),
        session_within: seconds(2),
        script_within: seconds(4),
        ..Es5Config::at(number)
    }
}

/// SMPP account at an SMSC, without its password.
#[derive(Clone, Debug)]
struct SmppAccount {
    system_id: String,
    address: String,
}

/// Parses `USER@HOST:PORT`.
fn account(text: &str) -> Result<SmppAccount, String> {
    let form = "expected USER@HOST:PORT; --smsc-password-file names the file with the password";
    let (system_id, address) = text.rsplit_once('@').ok_or(form)?;
    if system_id.contains(':') {
        return Err(form.to_owned());
    }
    Ok(SmppAccount { system_id: system_id.to_owned(), address: address.to_owned() })
}

impl SmppAccount {
    /// Returns the settings of the SMPP client.
    ///
    /// # Errors
    /// There is no password, or SMPP cannot carry name and password.
    fn settings(&self, password_file: Option<&Path>) -> Result<EsmeSettings, Fault> {
        let password = smsc::password(password_file)?;
        world::check_account(&self.system_id, password.expose()).map_err(|why| {
            Fault::usage("cannot use the SMPP account", why, "correct --smsc or the password")
        })?;
        let SmppAccount { system_id, address } = self.clone();
        Ok(EsmeSettings { address, system_id, password, system_type: String::new() })
    }
}

/// Opens the records of an SM-SR.
fn open(settings: &Settings, records: &std::path::Path) -> Result<Arc<dyn Records>, Fault> {
    parties::open_existing_records(settings, records, STORED_FORM).map_err(|fault| match fault.kind {
        FaultKind::NotFound => Fault::new(
            format!("there are no records in {}", records.display()),
            "no SM-SR of this name has run with this data folder or database",
            "correct --name or --data-dir (or --records), or start the SM-SR with `landfall sm-sr serve`",
        )
        .of_kind(FaultKind::NotFound),
        _ => fault,
    })
}

async fn list(settings: &Settings, records: &std::path::Path, json: bool) -> Result<(), Fault> {
    let records = open(settings, records)?;
    let cards: Vec<Card> =
        Tx::begin(&records).list(&CARDS, "").await?.into_iter().map(|(_, card)| card).collect();
    if json {
        let brief = |card: &Card| ListedCard {
            eid: card.eid(),
            enabled: card.enabled().map(|profile| profile.iccid),
            fallback: card.fallback().map(|profile| profile.iccid),
            profiles: card.eis.profile_info.len(),
        };
        return print_json(&cards.iter().map(brief).collect::<Vec<_>>());
    }
    let mut table = Table::new(&["EID", "enabled", "fall-back", "profiles", "free octets"]);
    for card in cards {
        let iccid = |profile: Option<&rsp::sgp02::eis::ProfileInfo>| {
            profile.map(|profile| profile.iccid.to_string()).unwrap_or_default()
        };
        table.row([
            card.eid().to_string(),
            iccid(card.enabled()),
            iccid(card.fallback()),
            card.eis.profile_info.len().to_string(),
            card.eis.available_memory_for_profiles.to_string(),
        ]);
    }
    print(&table.render())
}

async fn eis(settings: &Settings, records: &std::path::Path, eid: Eid, json: bool) -> Result<(), Fault> {
    let records = open(settings, records)?;
    let mut tx = Tx::begin(&records);
    let Some(card) = tx.get(&CARDS, &eid.to_string()).await? else {
        return Err(Fault::new(
            format!("there is no card {eid}"),
            "this SM-SR does not manage it",
            "register it with `landfall eum register`, or ask another SM-SR (--name)",
        )
        .of_kind(FaultKind::NotFound));
    };
    let of_card = format!("{eid}/");
    let waiting = tx.list(&OPERATIONS, &of_card).await?;
    let trail: Vec<_> = tx.list(&AUDIT, &of_card).await?.into_iter().map(|(_, record)| record).collect();
    if json {
        let waiting: Vec<_> = waiting
            .iter()
            .map(|(_, it)| PendingFunction {
                function: it.function.name(),
                step: it.step.name(),
                received: it.received,
                expires: it.expires,
            })
            .collect();
        return print_json(&ShownCard {
            eis: &card.eis,
            undone: card.undone.iter().map(ToString::to_string).collect(),
            functions: waiting,
            audit_trail: trail.into_iter().map(Audited::from).collect(),
        });
    }
    print(&m2m_eis::profiles(&card.eis))?;
    for order in &card.undone {
        print(&format!("\nnot done since the card was taken over: {order}"))?;
    }
    if !waiting.is_empty() {
        let mut table = Table::new(&["function", "step", "until"]);
        for (_, operation) in waiting {
            table.row([
                operation.function.name().to_owned(),
                operation.step.name().to_owned(),
                operation.expires.to_string(),
            ]);
        }
        print(&format!("\n{}", table.render()))?;
    }
    if !trail.is_empty() {
        print(&format!("\n{}", m2m_eis::trail(&trail)))?;
    }
    Ok(())
}

async fn peers(settings: &Settings, records: &std::path::Path, json: bool) -> Result<(), Fault> {
    let records = open(settings, records)?;
    let all = Tx::begin(&records).list(&PEERS, "").await?;
    if json {
        let brief = |(_, peer): (String, sm_sr::records::Peer)| ListedPeer {
            id: peer.id,
            name: peer.name,
            role: peer.role.name(),
            endpoint: peer.endpoint,
        };
        return print_json(&all.into_iter().map(brief).collect::<Vec<_>>());
    }
    let mut table = Table::new(&["OID", "role", "name", "address"]);
    for (_, peer) in all {
        let role = peer.role.name().to_owned();
        table.row([peer.id.to_string(), role, peer.name, peer.endpoint.unwrap_or_default()]);
    }
    print(&table.render())
}
