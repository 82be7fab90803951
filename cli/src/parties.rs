//! The parties, each with its sockets, its records and its keys.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use certs::{Credential, Pki, PkiError, Role, ServerName, Validity};
use crypto::Curve;
use euicc_sim::{Card, CardDescription, Quirk};
use net::{Client, ClientAuth, ClientTls, FileMemory, Identity, OsClock, OsDice, ServerTls, SqliteRecords};
use rsp::{
    ids::{Eid, SmdpAddress},
    time::Timestamp,
};
use sm_dp::{Config, Credentials, SmDpPlus};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use world::{Clock, Events, Fault, Link, Memory, PhoneNumber, Records, ShiftedClock, World};

use crate::{pki, settings::Settings};

mod sm_ds;
pub mod sm_sr_peers;

pub use sm_ds::{serve_sm_ds, sm_ds, sm_ds_tls};

/// The world as it is, but for a clock that can be moved ahead.
///
/// # Errors
/// The operating system gives no randomness.
pub fn os_world() -> Result<(World, ShiftedClock), Fault> {
    let clock = ShiftedClock::over(Arc::new(OsClock));
    Ok((World::new(clock.clone(), OsDice::new()?), clock))
}

/// A party that answers on a socket until it is stopped.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    /// One that is dropped, and not stopped, breaks off what is under way.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// Serves `service` on `listener`.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn serve(listener: TcpListener, tls: Option<ServerTls>, service: Link) -> Result<Self, Fault> {
        let address = local_address(&listener)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            net::serve(listener, tls, service, async {
                // A dropped sender stops the party as well as a sent word.
                let _ = stopped.await;
            })
            .await;
        });
        Ok(Self { address, stop: Some(stop), task })
    }

    /// Lets the requests under way finish, then stops.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        // The task ends with its last request; if it was aborted there is nothing to wait for.
        let _ = (&mut self.task).await;
    }
}

/// The address a listener has.
///
/// # Errors
/// It has none.
pub fn local_address(listener: &TcpListener) -> Result<SocketAddr, Fault> {
    listener
        .local_addr()
        .map_err(|e| Fault::caused_by(e, "cannot tell where the party listens", "start it again"))
}

/// Listens at an address of the settings; port 0 there becomes the port that was free.
///
/// # Errors
/// The address cannot be listened on.
pub async fn listen_at(address: &mut String) -> Result<TcpListener, Fault> {
    let listener = net::listen(address).await?;
    if let Some(host) = address.strip_suffix(":0") {
        *address = format!("{host}:{}", local_address(&listener)?.port());
    }
    Ok(listener)
}

/// Listens where the settings want the admin API, if they do.
///
/// # Errors
/// The address cannot be listened on.
pub async fn listen_for_admin(settings: &mut Settings) -> Result<Option<TcpListener>, Fault> {
    let Some(address) = &mut settings.admin else { return Ok(None) };
    let listener = listen_at(address).await.map_err(|mut fault| {
        fault.next.push_str("; --admin says where the admin API listens, --admin none leaves it out");
        fault
    })?;
    Ok(Some(listener))
}

/// A telephone number with its country code, with or without the plus.
///
/// # Errors
/// It is none; for a parser of options.
pub fn number(text: &str) -> Result<PhoneNumber, String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|each| each.is_ascii_digit());
    let number = PhoneNumber::international(digits).ok().filter(|_| is_number);
    number.ok_or_else(|| "a telephone number is up to 20 digits, country code first".to_owned())
}

/// The trusted roots of a PKI, for TLS.
pub fn tls_roots(pki: &Pki) -> Vec<Vec<u8>> {
    pki.curves().into_iter().filter_map(|curve| pki.ci(curve).ok()).map(|ci| ci.der().to_vec()).collect()
}

/// What a party shows in TLS.
pub fn identity(credential: &Credential) -> Identity {
    Identity { chain: vec![credential.certificate.der().to_vec()], key: credential.key_pkcs8().into() }
}

/// What the SM-DP+ needs to start.
pub struct SmDpSetup<'a> {
    /// Its certificates and keys.
    pub pki: &'a Pki,
    /// Names that it answers to, the first one being what operators and devices are told.
    pub addresses: Vec<String>,
    /// The folder of its records.
    pub data_dir: &'a Path,
    /// Clock and dice.
    pub world: &'a World,
    /// Who is told what happens.
    pub events: Arc<dyn Events>,
}

/// An SM-DP+ on its records, not listening yet.
///
/// # Errors
/// A certificate is missing, an address is malformed, or the records cannot be opened.
pub fn sm_dp(setup: &SmDpSetup<'_>) -> Result<SmDpPlus, Fault> {
    sm_dp_on(setup, sm_dp_records(setup.data_dir)?)
}

/// The records of the SM-DP+ of this data folder.
///
/// # Errors
/// They cannot be opened.
pub fn sm_dp_records(data_dir: &Path) -> Result<Arc<dyn Records>, Fault> {
    Ok(Arc::new(SqliteRecords::open(data_dir.join("sm-dp.sqlite"))?))
}

/// An SM-DP+ on these records, not listening yet.
///
/// # Errors
/// A certificate is missing, or an address is malformed.
pub fn sm_dp_on(setup: &SmDpSetup<'_>, records: Arc<dyn Records>) -> Result<SmDpPlus, Fault> {
    let (first, others) = parsed(&setup.addresses)?;
    let mut config = Config::new(first);
    config.other_addresses = others;
    let credentials = Credentials::from_pki(setup.pki).map_err(|e| {
        Fault::caused_by(e, "the SM-DP+ has no certificates", "make a PKI with `landfall certs init`")
    })?;
    Ok(SmDpPlus::new(config, credentials, records, setup.world.clone(), setup.events.clone()))
}

/// The address that others are told, and the others that are answered to.
///
/// # Errors
/// There is none, or one is malformed.
pub fn parsed(addresses: &[String]) -> Result<(SmdpAddress, Vec<SmdpAddress>), Fault> {
    let mut parsed = addresses.iter().map(|address| {
        address.parse().map_err(|e| {
            Fault::caused_by(
                e,
                format!("{address:?} cannot be the address of a server"),
                "give a host name, with :port where it is not 443",
            )
        })
    });
    let first = parsed.next().unwrap_or_else(|| {
        Err(Fault::new("the server has no address", "none was given", "give one with --sm-dp or --sm-ds"))
    })?;
    Ok((first, parsed.collect::<Result<_, _>>()?))
}

/// TLS of the SM-DP+: its certificate for `names`, and client certificates of the same PKI where one is shown. Clients that
/// speak only Brainpool are shown a certificate on that curve, if there is one or the CI's key is there to issue it.
///
/// A certificate that does not have all the names, or does not hold now, is replaced by one issued for the occasion when
/// the CI's key is there; that is what keeps the published test set usable after its leaf has expired.
///
/// # Errors
/// There is no certificate and none can be issued.
pub fn sm_dp_tls(pki: &Pki, names: &[ServerName], clock: Arc<dyn Clock>) -> Result<ServerTls, Fault> {
    let now = clock.now();
    let nist = sm_dp_credential(pki, names, now)?;
    let auth = ClientAuth::Optional(tls_roots(pki));
    let names = nist.certificate.server_names();
    let issue = |validity| pki.issue_dp_tls_on(Curve::BrainpoolP256r1, names, validity);
    let kept = pki.credential(Role::DpTls, Curve::BrainpoolP256r1).or_else(|_| issue(year_from(now)));
    match server_credential("SM-DP+", kept, issue, names, now) {
        Ok(brainpool) => ServerTls::on_both_curves(&identity(&nist), &identity(&brainpool), &auth, clock),
        Err(_) => ServerTls::new(&identity(&nist), &auth, clock),
    }
}

/// TLS of an operator that listens. The certificate shows the OID of the SM-DP+, because the PKI has no role of an
/// operator's server; an SM-DP+ looks at its name and its CI.
///
/// # Errors
/// The CI's key is missing.
pub fn operator_server_tls(
    pki: &Pki,
    names: &[ServerName],
    clock: Arc<dyn Clock>,
) -> Result<ServerTls, Fault> {
    sm_dp_tls(pki, names, clock)
}

/// CERT.DP.TLS that the SM-DP+ shows, as a server and as a client.
fn sm_dp_credential(pki: &Pki, names: &[ServerName], now: Timestamp) -> Result<Credential, Fault> {
    let kept = pki.dp(Curve::P256).map(|dp| dp.tls);
    server_credential("SM-DP+", kept, |validity| pki.issue_dp_tls(names, validity), names, now)
}

/// The certificate that is kept if it fits, or else one issued for the occasion, or else the kept one all the same.
fn server_credential(
    who: &str,
    kept: Result<Credential, PkiError>,
    issue: impl FnOnce(Validity) -> Result<Credential, PkiError>,
    names: &[ServerName],
    now: Timestamp,
) -> Result<Credential, Fault> {
    let fits = |credential: &Credential| {
        // A demonstration moves its clock; half a year covers every rule it waits for.
        credential.certificate.validity().contains(now)
            && credential.certificate.validity().contains(now_plus(now, HALF_A_YEAR))
            && names.iter().all(|name| credential.certificate.server_names().contains(name))
    };
    match kept {
        Ok(kept) if fits(&kept) => Ok(kept),
        Ok(kept) => Ok(issue(year_from(now)).unwrap_or(kept)),
        Err(e) => {
            let what = format!("the {who} has no TLS certificate");
            Err(Fault::caused_by(e, what, "make a PKI with `landfall certs init`"))
        }
    }
}

fn year_from(now: Timestamp) -> Validity {
    let year = Duration::from_secs(365 * 86_400);
    Validity { from: Timestamp::from_seconds(now.seconds()), to: now_plus(now, year) }
}

const HALF_A_YEAR: Duration = Duration::from_secs(183 * 86_400);

fn now_plus(now: Timestamp, more: Duration) -> Timestamp {
    Timestamp::from_seconds(now.plus(more).seconds())
}

/// TLS of a device: trusts the CI of the PKI, shows no certificate.
///
/// # Errors
/// The PKI has no CI that TLS can use.
pub fn device_tls(pki: &Pki, clock: Arc<dyn Clock>) -> Result<ClientTls, Fault> {
    ClientTls::new(&tls_roots(pki), None, clock)
}

/// TLS of an operator: shows its client certificate.
///
/// # Errors
/// The PKI has no such certificate and cannot issue one.
pub fn operator_tls(pki: &Pki, name: &str, clock: Arc<dyn Clock>) -> Result<(ClientTls, String), Fault> {
    let credential = pki.operator(name).map_err(|e| {
        Fault::caused_by(
            e,
            format!("there is no client certificate for operator {name:?}"),
            "issue one with `landfall certs issue operator`",
        )
    })?;
    let oid = credential.certificate.registered_ids().first().map(ToString::to_string).unwrap_or_default();
    Ok((ClientTls::new(&tls_roots(pki), Some(&identity(&credential)), clock)?, oid))
}

/// TLS of the SM-DP+ where it is the client (ES2+, ES12): shows CERT.DP.TLS for `names`, or one issued for the occasion as in
/// [`sm_dp_tls`]. Operators know it by these names, an SM-DS by its OID, which is what it calls itself.
///
/// # Errors
/// The PKI has no such certificate.
pub fn sm_dp_client_tls(
    pki: &Pki,
    names: &[ServerName],
    clock: Arc<dyn Clock>,
) -> Result<(ClientTls, String), Fault> {
    let credential = sm_dp_credential(pki, names, clock.now())?;
    let oid = credential.certificate.registered_ids().first().map(ToString::to_string).unwrap_or_default();
    Ok((ClientTls::new(&tls_roots(pki), Some(&identity(&credential)), clock)?, oid))
}

/// The device's client: it finds SM-DP+ and SM-DS of the settings by all their names.
pub fn device_client(settings: &Settings) -> Client {
    settings.sm_ds_names.iter().fold(client(&settings.sm_dp_names, &settings.sm_dp), |client, name| {
        client.with_connect_to(host_of(name), &settings.sm_ds)
    })
}

/// A client that connects to the SM-DP+ of the settings whatever name it is asked for: names such as
/// testsmdpplus1.example.com are in no DNS.
pub fn client(names: &[String], connect_to: &str) -> Client {
    names.iter().fold(Client::default(), |client, name| client.with_connect_to(host_of(name), connect_to))
}

/// The host part of `host[:port]`.
pub fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host.trim_matches(['[', ']']),
        _ => address,
    }
}

/// A card whose memory is a file of the data folder.
///
/// # Errors
/// The PKI cannot vouch for the EID, or the memory is not this card's.
pub fn card(pki: &Pki, eid: Eid, data_dir: &Path, world: &World) -> Result<Card, Fault> {
    let memory = FileMemory::open(card_path(data_dir, eid))?;
    Card::open(card_description(pki, eid)?, memory, world.clone())
}

/// A card of the settings: its root SM-DS is theirs. With these quirks.
///
/// # Errors
/// As [`card`].
pub fn card_of(
    settings: &Settings,
    pki: &Pki,
    eid: Eid,
    world: &World,
    quirks: Vec<Quirk>,
) -> Result<Card, Fault> {
    let memory = FileMemory::open(card_path(&settings.data_dir, eid))?;
    card_on(settings, pki, eid, memory, world, quirks)
}

/// The same on another memory.
///
/// # Errors
/// As [`card`].
pub fn card_on(
    settings: &Settings,
    pki: &Pki,
    eid: Eid,
    memory: impl Memory + 'static,
    world: &World,
    quirks: Vec<Quirk>,
) -> Result<Card, Fault> {
    let mut description = described(settings, pki, eid)?;
    description.quirks.extend(quirks);
    Card::open(description, memory, world.clone())
}

/// A card as the settings have it: its root SM-DS is theirs.
///
/// # Errors
/// No EUM of the PKI may vouch for the EID.
pub fn described(settings: &Settings, pki: &Pki, eid: Eid) -> Result<CardDescription, Fault> {
    Ok(CardDescription { root_ds_address: root_sm_ds(settings), ..card_description(pki, eid)? })
}

/// Where the memory of a card lies.
pub fn card_path(data_dir: &Path, eid: Eid) -> PathBuf {
    data_dir.join("cards").join(format!("{eid}.card"))
}

/// A card with a certificate below every EUM of the PKI.
///
/// # Errors
/// No EUM of the PKI may vouch for the EID.
pub fn card_description(pki: &Pki, eid: Eid) -> Result<CardDescription, Fault> {
    let mut credentials = Vec::new();
    let mut why = None;
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        match pki.euicc(curve, eid) {
            Ok(credential) => credentials.push(credential),
            Err(e) => why = why.or(Some(e)),
        }
    }
    match why {
        Some(e) if credentials.is_empty() => Err(Fault::caused_by(
            e,
            format!("no certificate can be had for EID {eid}"),
            "choose an EID in the EUM's range; `landfall certs show` lists the PKI",
        )),
        _ => Ok(CardDescription::default_for(eid, &credentials)),
    }
}

/// The EID that a command uses when none is given: the first one of the PKI.
///
/// # Errors
/// The PKI has no eUICC.
pub fn default_eid(pki: &Pki) -> Result<Eid, Fault> {
    pki.eids(Curve::P256).first().copied().ok_or_else(|| {
        Fault::new(
            "the PKI has no eUICC",
            "none is in its folder",
            "issue one with `landfall certs issue euicc --eid EID`",
        )
    })
}

/// The EID with this serial number in the range of the EUM.
///
/// # Errors
/// The PKI has no EUM.
pub fn eid_of_serial(pki: &Pki, serial: u64) -> Result<Eid, Fault> {
    let cannot = |why: String| {
        Fault::new(
            "cannot make a card",
            why,
            "use a PKI that has an EUM with its key; `landfall certs init` makes one",
        )
    };
    let eum = pki.eum(Curve::P256).map_err(|e| cannot(e.to_string()))?;
    let prefix = eum.eid_range().prefixes().next().unwrap_or_default();
    let width = 30_usize.saturating_sub(prefix.len());
    Eid::with_check_digits(&format!("{prefix}{serial:0width$}")).map_err(|e| cannot(e.to_string()))
}

/// The PKI of the settings, and the names of the SM-DP+ with its port where it is not 443.
///
/// # Errors
/// The PKI cannot be read or made.
pub fn pki_and_addresses(settings: &Settings) -> Result<(Pki, Vec<String>), Fault> {
    let pki = pki::load_or_init(settings)?;
    Ok((pki, addresses(&settings.sm_dp_names, &settings.sm_dp)))
}

/// Every way in which a server may be addressed: where it is, what the settings call it, and the loopback names;
/// each with the port unless that is 443.
pub fn addresses(names: &[String], listens: &str) -> Vec<String> {
    let port = listens.rsplit_once(':').map_or("443", |(_, port)| port);
    let mut all: Vec<String> = Vec::new();
    for name in names.iter().map(String::as_str).chain([host_of(listens), "localhost", "127.0.0.1"]) {
        let with_port = if port == "443" { name.to_owned() } else { format!("{name}:{port}") };
        // A client that was told where to connect may use the bare name.
        for address in [with_port, name.to_owned()] {
            if !all.contains(&address) {
                all.push(address);
            }
        }
    }
    all
}

/// The address under which clients of this host ask for the SM-DP+: the first name that the settings add, or else
/// where it is.
pub fn reachable(settings: &Settings) -> String {
    reachable_at(&settings.sm_dp_names, &settings.sm_dp)
}

/// The same for the SM-DS: this is what the cards are told.
pub fn root_sm_ds(settings: &Settings) -> String {
    reachable_at(&settings.sm_ds_names, &settings.sm_ds)
}

fn reachable_at(names: &[String], listens: &str) -> String {
    let port = listens.rsplit_once(':').map_or("443", |(_, port)| port);
    match names.first() {
        Some(name) => format!("{}:{port}", host_of(name)),
        None => listens.to_owned(),
    }
}

/// The activation code for a confirmed order, with the `LPA:` prefix that devices scan.
pub fn activation_code(
    settings: &Settings,
    confirmed: &rsp::sgp22::es2plus::ConfirmOrderReply,
    confirmation_code_required: bool,
) -> String {
    let address = confirmed.smdp_address.clone().unwrap_or_else(|| reachable(settings));
    let flag = if confirmation_code_required { "$$1" } else { "" };
    format!("LPA:1${address}${}{flag}", confirmed.matching_id)
}
