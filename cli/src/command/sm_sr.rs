//! `landfall sm-sr`: an SM-SR for M2M devices on its own.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, Subcommand};
use net::{SqliteRecords, smpp::EsmeSettings};
use rsp::ids::{Eid, SmdpAddress};
use sm_sr::{
    es5::Es5Config,
    records::{AUDIT, CARDS, Card, OPERATIONS, PEERS},
};
use world::{Fault, PhoneNumber, Tx};

use crate::{
    faults::{Faults, Seams, Trouble},
    m2m::{eis as m2m_eis, sm_sr as m2m},
    output::{Lines, Table, remark, say, say_json},
    parties::{self, sm_sr_peers},
    settings::Settings,
    unshown::Unshown,
};

/// The SM-SR of M2M devices: run it, or look into its records
#[derive(Debug, Args)]
pub struct Command {
    /// Its name: its OID, its certificates and its records go by it
    #[arg(long, global = true, default_value = "Landfall SM-SR")]
    name: String,
    #[command(subcommand)]
    what: What,
}

/// What to do
#[derive(Debug, Subcommand)]
enum What {
    /// Listen for EUMs, SM-DPs, operators and SM-SRs (ES1, ES3, ES4, ES7), and for cards (ES5)
    Serve(Box<Serve>),
    /// List the cards
    List,
    /// Show what is known of one card: its EIS, what waits for it, and its audit trail
    Eis {
        /// Which
        eid: Eid,
    },
    /// List who is known
    Peers,
}

/// How to listen
#[derive(Debug, Args)]
struct Serve {
    /// Where others ask
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8445")]
    listen: String,
    /// Where others are told that it is [default: where it listens]
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<SmdpAddress>,
    /// A further name in its certificate; may be repeated
    #[arg(long = "also-known-as", value_name = "NAME")]
    names: Vec<String>,
    /// Where cards open their HTTPS sessions, or none: everything goes by short messages then
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8446")]
    cards: String,
    /// Where cards are told that that is [default: where it listens]
    #[arg(long, value_name = "IP:PORT")]
    cards_address: Option<SocketAddr>,
    /// How many seconds a card has to answer a short message at first; twice as many to open a session, four times as many
    /// to run a script there
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    answer_within: u64,
    /// The number to which cards write
    #[arg(long, value_parser = parties::number, value_name = "DIGITS", default_value = "+447700900001")]
    number: PhoneNumber,
    /// Its account at a message centre that speaks SMPP; without one no card gets a short message
    #[arg(long, value_name = "USER:PASSWORD@HOST:PORT", value_parser = Unshown(account))]
    smsc: Option<EsmeSettings>,
    /// Somebody it knows; may be repeated
    #[arg(long = "peer", value_name = "ROLE:WHO[@HOST:PORT]", long_help = PEER_HELP)]
    peers: Vec<sm_sr_peers::Known>,
    /// More of them (TOML, a [[peer]] each)
    #[arg(long = "peers", value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    faults: Faults,
}

const PEER_HELP: &str = "Somebody it knows; may be repeated. ROLE is eum, sm-dp, operator or sm-sr; WHO an OID, or the \
name under which the PKI has it; the address is where it takes callbacks and notifications";

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A file, a record or a socket fails.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let records = settings.data_dir.join(format!("{}.sqlite", file_name(&self.name)));
        match self.what {
            What::Serve(serve) => serve.run(settings, &self.name, &records, json).await,
            What::List => list(&records, json).await,
            What::Eis { eid } => eis(&records, eid, json).await,
            What::Peers => known(&records, json).await,
        }
    }
}

/// The name as a part of a path: another one for every name, and none of another party's.
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
            remark("no message centre (--smsc): no card is reached before it comes by itself");
        }
        let (mut listen, mut cards) = (self.listen.clone(), self.cards.clone());
        let run = async |trouble: &Trouble| {
            let doors = Doors { listen: &mut listen, cards: &mut cards };
            self.once(settings, name, records, doors, trouble, json).await
        };
        self.faults.live(&Seams::SM_SR, settings, run).await
    }

    /// One life of the server.
    async fn once(
        &self,
        settings: &Settings,
        name: &str,
        records: &std::path::Path,
        Doors { listen, cards }: Doors<'_>,
        trouble: &Trouble,
        json: bool,
    ) -> Result<(), Fault> {
        let (world, _) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let listener = parties::listen_at(listen).await?;
        // A host that was named is told by that name; one of many addresses must be told by another.
        let is_address = |place: &str| place.parse::<SocketAddr>().is_ok();
        let address = self.address.as_ref().map(|address| address.as_str().to_owned());
        let address = address.or_else(|| (!is_address(listen)).then(|| listen.clone()));
        let further = address.iter().map(|address| parties::host_of(address).to_owned());
        let further = further.chain(self.names.iter().cloned());
        let names = crate::pki::names_of(listen, &further.collect::<Vec<_>>())?;
        let cards = match cards.as_str() {
            "none" => None,
            _ => Some(parties::listen_at(cards).await?),
        };
        let party = m2m::start(m2m::Setup {
            pki: &pki,
            name,
            listener,
            address,
            names: &names,
            cards,
            cards_address: self.cards_address,
            number: self.number.clone(),
            centre: self.smsc.clone(),
            records: trouble.records("sm-sr", Arc::new(SqliteRecords::open(records.to_path_buf())?)),
            world: &world,
            events: Arc::new(Lines::new(world.now(), json)),
            client: net::Client::default(),
            messages: None,
            patience: Some(patience(self.number.clone(), self.answer_within)),
            trouble,
        })?;
        let mut all = self.peers.clone();
        if let Some(file) = &self.file {
            all.extend(sm_sr_peers::read(file)?);
        }
        for peer in sm_sr_peers::introduce(&party.server, &pki, &all).await? {
            let at = peer.endpoint.map_or("is not told anything".to_owned(), |at| format!("at {at}"));
            remark(&format!("knows {} {:?}: {}, {at}", peer.role.name(), peer.name, peer.id));
        }
        match party.card_side.https {
            Some(https) => remark(&format!("cards at {https} (HTTPS with their pre-shared keys)")),
            None => remark("no door for cards (--cards none): they are reached by short messages alone"),
        }
        remark(&format!("SM-SR {} at {} (ES1, ES3, ES4 and ES7); Ctrl-C stops it", party.id, party.address));
        super::sm_dp::stop_signal().await;
        party.stop().await;
        Ok(())
    }
}

/// Where it listens; port 0 becomes the one that was free.
struct Doors<'a> {
    listen: &'a mut String,
    cards: &'a mut String,
}

/// How patient it is with cards.
fn patience(number: PhoneNumber, answer_within: u64) -> Es5Config {
    let seconds = |times: u64| Duration::from_secs(answer_within.saturating_mul(times));
    Es5Config {
        answer_within: seconds(1),
        session_within: seconds(2),
        script_within: seconds(4),
        ..Es5Config::at(number)
    }
}

/// `user:password@host:port`.
fn account(text: &str) -> Result<EsmeSettings, String> {
    let form = "it is not USER:PASSWORD@HOST:PORT";
    let (account, address) = text.rsplit_once('@').ok_or(form)?;
    let (system_id, password) = account.split_once(':').ok_or(form)?;
    world::check_account(system_id, password)?;
    Ok(EsmeSettings {
        address: address.to_owned(),
        system_id: system_id.to_owned(),
        password: password.to_owned(),
        system_type: String::new(),
    })
}

/// What an SM-SR has written down.
fn open(records: &std::path::Path) -> Result<SqliteRecords, Fault> {
    if !records.exists() {
        return Err(Fault::new(
            format!("there are no records in {}", records.display()),
            "no SM-SR of this name has run in this data folder",
            "correct --name or --data-dir, or start it with `landfall sm-sr serve`",
        ));
    }
    SqliteRecords::open(records.to_path_buf())
}

async fn list(records: &std::path::Path, json: bool) -> Result<(), Fault> {
    let records = open(records)?;
    let cards: Vec<Card> =
        Tx::begin(&records).list(&CARDS, "").await?.into_iter().map(|(_, card)| card).collect();
    if json {
        let brief = |card: &Card| {
            serde_json::json!({
                "eid": card.eid(),
                "enabled": card.enabled().map(|profile| profile.iccid),
                "fallback": card.fallback().map(|profile| profile.iccid),
                "profiles": card.eis.profile_info.len(),
            })
        };
        return say_json(&cards.iter().map(brief).collect::<Vec<_>>());
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
    say(&table.render())
}

async fn eis(records: &std::path::Path, eid: Eid, json: bool) -> Result<(), Fault> {
    let records = open(records)?;
    let mut tx = Tx::begin(&records);
    let Some(card) = tx.get(&CARDS, &eid.to_string()).await? else {
        return Err(Fault::new(
            format!("there is no card {eid}"),
            "this SM-SR does not manage it",
            "register it with `landfall eum register`, or ask another SM-SR (--name)",
        ));
    };
    let of_card = format!("{eid}/");
    let waiting = tx.list(&OPERATIONS, &of_card).await?;
    let trail: Vec<_> = tx.list(&AUDIT, &of_card).await?.into_iter().map(|(_, record)| record).collect();
    if json {
        let waiting: Vec<_> = waiting
            .iter()
            .map(|(_, it)| {
                serde_json::json!({
                    "function": it.function.name(), "step": it.step.name(),
                    "received": it.received, "expires": it.expires,
                })
            })
            .collect();
        let trail = trail.iter().map(m2m_eis::audited).collect::<Result<Vec<_>, _>>()?;
        let undone: Vec<_> = card.undone.iter().map(ToString::to_string).collect();
        return say_json(&serde_json::json!({
            "eis": card.eis, "undone": undone, "functions": waiting, "auditTrail": trail,
        }));
    }
    say(&m2m_eis::profiles(&card.eis))?;
    for order in &card.undone {
        say(&format!("\nnot done since it was taken over: {order}"))?;
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
        say(&format!("\n{}", table.render()))?;
    }
    if !trail.is_empty() {
        say(&format!("\n{}", m2m_eis::trail(&trail)))?;
    }
    Ok(())
}

async fn known(records: &std::path::Path, json: bool) -> Result<(), Fault> {
    let records = open(records)?;
    let all = Tx::begin(&records).list(&PEERS, "").await?;
    if json {
        let brief = |(_, peer): &(String, sm_sr::records::Peer)| {
            serde_json::json!({
                "id": peer.id, "name": peer.name, "role": peer.role.name(), "endpoint": peer.endpoint,
            })
        };
        return say_json(&all.iter().map(brief).collect::<Vec<_>>());
    }
    let mut table = Table::new(&["OID", "role", "name", "where"]);
    for (_, peer) in all {
        let role = peer.role.name().to_owned();
        table.row([peer.id.to_string(), role, peer.name, peer.endpoint.unwrap_or_default()]);
    }
    say(&table.render())
}
