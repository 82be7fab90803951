//! Set-up of the parties: sockets, TLS, records and keys.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use certs::{Credential, Pki, PkiError, Role, ServerName, Validity};
use crypto::Curve;
use euicc_sim::{Card, CardDescription};
use net::{Client, ClientAuth, ClientTls, FileMemory, Identity, OsClock, OsRandom, ServerTls, ServerTrust};
use rsp::{
    ids::{Eid, SmdpAddress},
    time::Timestamp,
};
use rsp_server::AllowedAddresses;
use sm_dp::{Config, Credentials, PersonalisedHook, Requesters, SmDpPlus};
use testbed::operator::Operator;
use world::{Clock, Events, Fault, Memory, PhoneNumber, Records, ShiftedClock, World};

use crate::settings::Settings;

pub mod demo_networks;
mod eim;
mod listening;
mod records;
mod running;
mod served_tls;
mod server_check;
mod sm_ds;
pub mod sm_sr_peers;

pub use listening::{
    TlsListener, listen_at, listen_for_admin, listen_udp_at, listen_with_tls, local_address,
};
pub use records::{open_existing_records, open_records};
pub use running::{Running, StopSignals, addresses_of, serve_with_tls, stop_signal};
pub use served_tls::{TlsServer, served_tls};

pub use eim::{EimServer, EimSetup, RunningEim, eim_server, eim_tls, start_eim};
pub use sm_ds::{drive_sm_ds, faulty_sm_ds, serve_sm_ds, serve_sm_ds_at, sm_ds, sm_ds_on, sm_ds_tls};

/// Returns the clock and random source of the operating system. The clock can be advanced.
///
/// # Errors
/// The operating system provides no random data.
pub fn os_world() -> Result<(World, ShiftedClock), Fault> {
    let clock = ShiftedClock::over(Arc::new(OsClock));
    Ok((World::new(clock.clone(), OsRandom::new()?), clock))
}

/// Parses a telephone number in international format, with or without the leading plus sign.
///
/// # Errors
/// The text is not a telephone number. The error is a message for the command-line parser.
pub fn number(text: &str) -> Result<PhoneNumber, String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|each| each.is_ascii_digit());
    let number = PhoneNumber::international(digits).ok().filter(|_| is_number);
    number.ok_or_else(|| "expected a telephone number of up to 20 digits, country code first".to_owned())
}

/// Returns the trusted root certificates of a PKI for TLS.
pub fn tls_roots(pki: &Pki) -> Vec<Vec<u8>> {
    pki.curves().into_iter().filter_map(|curve| pki.ci(curve).ok()).map(|ci| ci.der().to_vec()).collect()
}

/// Converts a credential into a TLS identity.
pub fn identity(credential: &Credential) -> Identity {
    Identity { chain: vec![credential.certificate.der().to_vec()], key: credential.key_pkcs8().into() }
}

/// Opens the SM-DP+ of the settings on its records, without listening.
///
/// # Errors
/// A certificate is missing, an address is malformed, or the records cannot be opened.
pub fn sm_dp(
    settings: &Settings,
    pki: &Pki,
    world: &World,
    events: Arc<dyn Events>,
) -> Result<SmDpPlus, Fault> {
    sm_dp_on(settings, pki, world, events, sm_dp_records(settings)?)
}

/// Opens the records of the SM-DP+ in the data folder.
///
/// # Errors
/// The database cannot be opened.
pub fn sm_dp_records(settings: &Settings) -> Result<Arc<dyn Records>, Fault> {
    let path = settings.data_dir.join("sm-dp.sqlite");
    open_records(settings, &path, sm_dp::records::STORED_FORM)
}

/// Opens the SM-DP+ of the settings on these records, without listening.
///
/// # Errors
/// A certificate is missing, or an address is malformed.
pub fn sm_dp_on(
    settings: &Settings,
    pki: &Pki,
    world: &World,
    events: Arc<dyn Events>,
    records: Arc<dyn Records>,
) -> Result<SmDpPlus, Fault> {
    sm_dp_with(settings, pki, world, events, records, SmDpOptions::default())
}

/// Options of an SM-DP+ in addition to the settings.
#[derive(Clone, Debug, Default)]
pub struct SmDpOptions {
    /// Callers of ES2+.
    pub requesters: Requesters,
    /// SM-DSs that operators may name, in addition to that of the settings.
    pub sm_ds_addresses: AllowedAddresses,
    /// Called with each profile that the server personalises.
    pub personalised_hook: Option<PersonalisedHook>,
}

/// Like [`sm_dp_on`], with options.
///
/// # Errors
/// As [`sm_dp_on`].
pub fn sm_dp_with(
    settings: &Settings,
    pki: &Pki,
    world: &World,
    events: Arc<dyn Events>,
    records: Arc<dyn Records>,
    options: SmDpOptions,
) -> Result<SmDpPlus, Fault> {
    let mut all = addresses(&settings.sm_dp_names, &settings.sm_dp);
    for further in &settings.sm_dp_further {
        all.extend(addresses(&settings.sm_dp_names, &further.address));
    }
    let (first, others) = parsed(&all)?;
    let mut config = Config::new(first);
    config.server.other_addresses = others;
    config.requesters = options.requesters;
    config.sm_ds_addresses = options.sm_ds_addresses;
    if let AllowedAddresses::Listed(listed) = &mut config.sm_ds_addresses {
        let (first, others) = parsed(&addresses(&settings.sm_ds_names, &settings.sm_ds))?;
        listed.extend(std::iter::once(first).chain(others));
    }
    config.personalised_hook = options.personalised_hook;
    config.remove_installed_packages = settings.remove_installed_packages;
    let credentials = Credentials::from_pki(pki)
        .map_err(|e| crate::pki::missing_certificate(e, "the SM-DP+ has no certificates"))?;
    Ok(SmDpPlus::new(config, credentials, records, world.clone(), events))
}

/// Parses addresses. Returns the first address, which is announced to peers, and the
/// other addresses.
///
/// # Errors
/// The list is empty, or an address is malformed.
pub fn parsed(addresses: &[String]) -> Result<(SmdpAddress, Vec<SmdpAddress>), Fault> {
    let mut parsed = addresses.iter().map(|address| {
        address.parse().map_err(|e| {
            Fault::usage_caused_by(
                e,
                format!("invalid server address {address:?}"),
                "use a host name, and add :PORT if the port is not 443",
            )
        })
    });
    let first = parsed.next().unwrap_or_else(|| {
        Err(Fault::usage("the server has no address", "none was given", "give one with --sm-dp or --sm-ds"))
    })?;
    Ok((first, parsed.collect::<Result<_, _>>()?))
}

/// Returns the TLS configuration of the SM-DP+: a certificate for `names`, and optional client
/// certificates of the same PKI. Clients that only support Brainpool get a Brainpool certificate,
/// if there is one or the key of the CI is available to issue it.
///
/// A certificate that lacks a name, or is not valid now, is replaced by a newly issued one if the
/// key of the CI is available. This keeps the published test PKI usable after its leaf certificates
/// have expired.
///
/// # Errors
/// There is no certificate, and none can be issued.
pub fn sm_dp_tls(pki: &Pki, names: &[ServerName], clock: Arc<dyn Clock>) -> Result<ServerTls, Fault> {
    let first = sm_dp_credential(pki, names, clock.now())?;
    TlsServer::SmDp.tls_on(None, pki, &first, clock)
}

/// Returns the TLS configuration of a listener. If it is bound to a curve, `first` is the certificate
/// on this curve. Otherwise `first` is the certificate on the preferred curve of the PKI, and clients
/// that only support Brainpool get the certificate that `on_brainpool` returns, if there is one.
fn tls_on(
    curve: Option<Curve>,
    pki: &Pki,
    first: &Credential,
    on_brainpool: impl FnOnce() -> Result<Credential, Fault>,
    clock: Arc<dyn Clock>,
) -> Result<ServerTls, Fault> {
    let auth = client_auth(pki)?;
    if curve.is_some() || first.certificate.curve() == Curve::BrainpoolP256r1 {
        return ServerTls::new(&identity(first), &auth, clock);
    }
    match on_brainpool() {
        Ok(brainpool) => ServerTls::on_both_curves(&identity(first), &identity(&brainpool), &auth, clock),
        Err(_) => ServerTls::new(&identity(first), &auth, clock),
    }
}

/// Returns the TLS configuration of a listener of a server whose certificates are issued from the
/// keys of the CI and not stored, such as an eIM or an SM-SR.
///
/// # Errors
/// The certificate on this curve cannot be issued.
pub fn issued_tls(
    curve: Option<Curve>,
    pki: &Pki,
    clock: &Arc<dyn Clock>,
    issue: impl Fn(Curve) -> Result<Credential, Fault>,
) -> Result<ServerTls, Fault> {
    let first = issue(curve.unwrap_or_else(|| pki.tls_curve()))?;
    tls_on(curve, pki, &first, || issue(Curve::BrainpoolP256r1), Arc::clone(clock))
}

/// Returns the policy for client certificates: they are optional. The chain of a certificate must
/// end at a CI of the PKI, and no revocation list in its folder may contain the certificate.
///
/// # Errors
/// A file in the folder is not a revocation list.
pub fn client_auth(pki: &Pki) -> Result<ClientAuth, Fault> {
    Ok(ClientAuth::Optional { roots: tls_roots(pki), check: server_check::of(pki, &[])? })
}

/// Returns the TLS configuration of an operator's server. The certificate contains the OID of the
/// SM-DP+, because the PKI has no role for an operator's server; an SM-DP+ only checks its name and
/// its CI.
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

/// Returns CERT.DP.TLS, which the SM-DP+ uses as a server and as a client.
fn sm_dp_credential(pki: &Pki, names: &[ServerName], now: Timestamp) -> Result<Credential, Fault> {
    let kept = pki.dp(pki.tls_curve()).map(|dp| dp.tls);
    server_credential("SM-DP+", kept, |validity| pki.issue_dp_tls(names, validity), names, now)
}

/// Returns the stored certificate if it is suitable. Otherwise returns a newly issued one or, if
/// none can be issued, the unsuitable stored one.
fn server_credential(
    who: &str,
    kept: Result<Credential, PkiError>,
    issue: impl FnOnce(Validity) -> Result<Credential, PkiError>,
    names: &[ServerName],
    now: Timestamp,
) -> Result<Credential, Fault> {
    let fits = |credential: &Credential| {
        // The certificate must be valid for another half year, because demonstrations advance the
        // clock to the time when a rule applies, which is always earlier than that.
        credential.certificate.validity().contains(now)
            && credential.certificate.validity().contains(now_plus(now, HALF_A_YEAR))
            && names.iter().all(|name| credential.certificate.server_names().contains(name))
    };
    match kept {
        Ok(kept) if fits(&kept) => Ok(kept),
        Ok(kept) => Ok(issue(year_from(now)).unwrap_or(kept)),
        Err(e) => Err(crate::pki::missing_certificate(e, format!("the {who} has no TLS certificate"))),
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

/// Returns the TLS configuration of a device for servers with one of these roles: it trusts the CI of the PKI and
/// has no certificate.
///
/// # Errors
/// The PKI has no CI that TLS supports.
pub fn device_tls(pki: &Pki, servers: &[Role], clock: Arc<dyn Clock>) -> Result<ClientTls, Fault> {
    ClientTls::checking(&tls_roots(pki), None, clock, server_check::of(pki, servers)?)
}

/// Returns the trust of a device in an eIM whose certificate leads to the CI of the PKI.
///
/// # Errors
/// A file in the folder of the PKI is not a revocation list.
pub fn device_trust(pki: &Pki) -> Result<ServerTrust, Fault> {
    Ok(ServerTrust::Certificates { anchors: tls_roots(pki), check: server_check::of(pki, &[])? })
}

/// Returns the TLS configuration of an operator, with its client certificate, and the operator's
/// OID.
///
/// # Errors
/// The PKI has no such certificate, and cannot issue one.
pub fn operator_tls(pki: &Pki, name: &str, clock: Arc<dyn Clock>) -> Result<(ClientTls, String), Fault> {
    let credential = pki.operator(name).map_err(|e| {
        Fault::usage_caused_by(
            e,
            format!("there is no client certificate for operator {name:?}"),
            "issue one with `landfall certs issue operator`",
        )
    })?;
    client_tls(pki, &credential, Some(Role::DpTls), clock)
}

/// Name in the PKI of the operator that commands and demonstrations use by default.
pub const OPERATOR: &str = testbed::OPERATOR;

/// Returns an operator as a client of the SM-DP+ of the settings (ES2+).
///
/// # Errors
/// As [`operator_tls`].
pub fn operator(
    settings: &Settings,
    pki: &Pki,
    name: &str,
    world: &World,
    events: Arc<dyn Events>,
) -> Result<Operator, Fault> {
    let (tls, oid) = operator_tls(pki, name, Arc::clone(&world.clock))?;
    let link = client(&settings.sm_dp_names, &settings.sm_dp).link(&reachable(settings), Some(tls))?;
    Ok(Operator::new(link, oid, world.clone(), events))
}

/// Returns the TLS configuration of a client with this certificate for servers of this role, and the
/// OID in the certificate. `None` stands for any role.
fn client_tls(
    pki: &Pki,
    credential: &Credential,
    server: Option<Role>,
    clock: Arc<dyn Clock>,
) -> Result<(ClientTls, String), Fault> {
    let oid = credential.certificate.registered_ids().first().map(ToString::to_string).unwrap_or_default();
    let check = server_check::of(pki, server.as_slice())?;
    Ok((ClientTls::checking(&tls_roots(pki), Some(&identity(credential)), clock, check)?, oid))
}

/// Returns the TLS configuration of the SM-DP+ as a client of servers of this role, and its OID: an
/// SM-DS on ES12, and operators with any role on ES2+ (`None`). The
/// certificate is CERT.DP.TLS for `names`, or a newly issued one as in [`sm_dp_tls`]. Operators
/// identify the SM-DP+ by these names, and an SM-DS identifies it by its OID.
///
/// # Errors
/// The PKI has no such certificate.
pub fn sm_dp_client_tls(
    pki: &Pki,
    names: &[ServerName],
    server: Option<Role>,
    clock: Arc<dyn Clock>,
) -> Result<(ClientTls, String), Fault> {
    client_tls(pki, &sm_dp_credential(pki, names, clock.now())?, server, clock)
}

/// Returns the client of a device. It resolves all names of the SM-DP+ and SM-DS in the settings.
pub fn device_client(settings: &Settings) -> Client {
    settings.sm_ds_names.iter().fold(client(&settings.sm_dp_names, &settings.sm_dp), |client, name| {
        client.with_connect_to(host_of(name), &settings.sm_ds)
    })
}

/// Returns a client that connects to the SM-DP+ of the settings for all its names; names such as
/// testsmdpplus1.example.com are not in the DNS.
pub fn client(names: &[String], connect_to: &str) -> Client {
    names.iter().fold(Client::default(), |client, name| client.with_connect_to(host_of(name), connect_to))
}

/// Returns the host part of `host[:port]`.
pub fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host.trim_matches(['[', ']']),
        _ => address,
    }
}

/// Opens a card with the root SM-DS of the settings. `strict` is that of [`CardDescription`].
///
/// # Errors
/// The PKI has no keys for the EID, or the memory belongs to another card.
pub fn card_of(settings: &Settings, pki: &Pki, eid: Eid, world: &World, strict: bool) -> Result<Card, Fault> {
    let memory = FileMemory::open(card_path(&settings.data_dir, eid))?;
    card_on(settings, pki, eid, memory, world, strict)
}

/// Opens a card as [`card_of`] does, but with the given memory.
///
/// # Errors
/// As [`card_of`].
pub fn card_on(
    settings: &Settings,
    pki: &Pki,
    eid: Eid,
    memory: impl Memory + 'static,
    world: &World,
    strict: bool,
) -> Result<Card, Fault> {
    let mut description = described(settings, pki, eid)?;
    description.strict = strict;
    Card::open(description, memory, world.clone())
}

/// Opens an IoT card (SGP.32) as [`card_on`] opens a consumer card.
///
/// # Errors
/// As [`card_of`].
pub fn iot_card_on(
    settings: &Settings,
    pki: &Pki,
    eid: Eid,
    memory: impl Memory + 'static,
    world: &World,
    strict: bool,
) -> Result<Card, Fault> {
    let iot = Some(Box::default());
    let description = CardDescription { strict, iot, ..described(settings, pki, eid)? };
    Card::open(description, memory, world.clone())
}

/// Returns the description of a card with the root SM-DS of the settings.
///
/// # Errors
/// The EID is in the range of no EUM of the PKI.
pub fn described(settings: &Settings, pki: &Pki, eid: Eid) -> Result<CardDescription, Fault> {
    Ok(CardDescription { root_ds_address: root_sm_ds(settings), ..card_description(pki, eid)? })
}

/// Returns the path of a card's memory file.
pub fn card_path(data_dir: &Path, eid: Eid) -> PathBuf {
    data_dir.join("cards").join(format!("{eid}.card"))
}

/// Returns the description of a card with a certificate issued by every EUM of the PKI.
///
/// # Errors
/// The EID is in the range of no EUM of the PKI.
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
        Some(e) if credentials.is_empty() => Err(Fault::usage_caused_by(
            e,
            format!("cannot get a certificate for EID {eid}"),
            "choose an EID in the EUM's range; `landfall certs show` lists the PKI",
        )),
        _ => Ok(CardDescription::default_for(eid, &credentials)),
    }
}

/// Returns the default EID of commands: the first EID of the PKI.
///
/// # Errors
/// The PKI has no eUICC.
pub fn default_eid(pki: &Pki) -> Result<Eid, Fault> {
    pki.eids(pki.tls_curve()).first().copied().ok_or_else(|| {
        Fault::usage(
            "the PKI has no eUICC",
            "its folder contains none",
            "issue one with `landfall certs issue euicc EID`",
        )
    })
}

/// Returns the EID with this serial number in the range of the EUM.
///
/// # Errors
/// The PKI has no EUM.
pub fn eid_of_serial(pki: &Pki, serial: u64) -> Result<Eid, Fault> {
    let cannot = |why: String| {
        Fault::usage(
            "cannot create a card",
            why,
            "use a PKI with an EUM and its key, such as that of `landfall certs init`",
        )
    };
    let eum = pki.eum(pki.tls_curve()).map_err(|e| cannot(e.to_string()))?;
    let prefix = eum.eid_range().prefixes().next().unwrap_or_default();
    certs::numbered_eid(prefix, serial).map_err(|e| cannot(e.to_string()))
}

/// Returns all addresses of a server: its names in the settings, its listening address, and the
/// loopback names, each with the port unless that is 443.
pub fn addresses(names: &[String], listens: &str) -> Vec<String> {
    let port = listens.rsplit_once(':').map_or("443", |(_, port)| port);
    let mut all: Vec<String> = Vec::new();
    for name in names.iter().map(String::as_str).chain([host_of(listens), "localhost", "127.0.0.1"]) {
        let with_port = if port == "443" { name.to_owned() } else { format!("{name}:{port}") };
        // A client with a configured connection address may use the name without port.
        for address in [with_port, name.to_owned()] {
            if !all.contains(&address) {
                all.push(address);
            }
        }
    }
    all
}

/// Returns the SM-DP+ address for clients on this host: the first name in the settings, or the
/// listening address.
pub fn reachable(settings: &Settings) -> String {
    reachable_at(&settings.sm_dp_names, &settings.sm_dp)
}

/// Returns the SM-DS address that is stored on cards: the first name in the settings, or the
/// listening address.
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

/// Returns the activation code of a confirmed order, with the prefix `LPA:`.
pub fn activation_code(
    settings: &Settings,
    confirmed: &rsp::sgp22::es2plus::ConfirmOrderReply,
    confirmation_code_required: bool,
) -> String {
    let address = confirmed.smdp_address.clone().unwrap_or_else(|| reachable(settings));
    let flag = if confirmation_code_required { "$$1" } else { "" };
    format!("LPA:1${address}${}{flag}", confirmed.matching_id)
}
