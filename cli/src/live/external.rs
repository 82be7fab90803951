//! External servers and cards from a places file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use certs::{Credential, Pki};
use device::Slot;
use http::Request;
use net::card_interface::{AtCard, TcpCard, VpcdSlot};
use net::{Client, ClientTls, OsClock};
use scenario::file::{CardInterfaceAt, CardPlace, Places, SmDpPlace};
use scenario::play::{StockedProfile, ThirdPartyCard, ThirdPartySmDp};
use testbed::transport::Transport;
use tokio::runtime::Handle;
use world::{
    Atr, BoxCardInterface, CardInterface, CardInterfaceFault, Fault, FaultKind, Link, LinkFault,
    LinkFaultKind, link_from,
};

use super::{RUNTIME_ENDED, wait};
use crate::parties::{host_of, identity, tls_roots};

/// External parties at the start of the scenario.
pub(super) struct ExternalParties {
    pub(super) sm_dps: BTreeMap<String, ThirdPartySmDp>,
    pub(super) cards: Vec<ThirdPartyCard>,
    /// Descriptions for the report.
    pub(super) named: Vec<String>,
}

impl ExternalParties {
    /// Connects to the parties of `places`. Relative paths start at `folder`.
    ///
    /// # Errors
    /// A file cannot be read, or a card is not at its address.
    pub(super) fn find(real: &Handle, places: &Places, folder: &Path, pki: &Pki) -> Result<Self, Fault> {
        let (mut sm_dps, mut cards, mut named) = (BTreeMap::new(), Vec::new(), Vec::new());
        for place in &places.sm_dp {
            let name = place.name.get_ref().clone();
            let at = place.connect_to.as_deref().map_or_else(String::new, |at| format!(" ({at})"));
            named.push(format!("SM-DP+ {name} at {}{at}", place.address));
            sm_dps.insert(name, sm_dp(real, place, folder, pki)?);
        }
        for place in &places.card {
            let Some((group, number)) = place.in_device() else { continue };
            let Some(at) = place.card_interface() else { continue };
            let (CardInterfaceAt::Tcp(address)
            | CardInterfaceAt::Vpcd(address)
            | CardInterfaceAt::At(address)) = at;
            named.push(format!("the card of {group} {number} at {address}"));
            let packages =
                place.profiles.iter().map(|file| package(folder, file)).collect::<Result<_, _>>()?;
            let card_interface = Slot::new(BoxCardInterface::new(BlockingCard {
                real: real.clone(),
                card_interface: Some(open(real, place, at)?),
            }));
            cards.push(ThirdPartyCard { group: group.to_owned(), number, card_interface, packages });
        }
        Ok(Self { sm_dps, cards, named })
    }
}

fn package(folder: &Path, file: &str) -> Result<Vec<u8>, Fault> {
    let path = folder.join(file);
    let next = "give the path of a profile package (TCA, DER), relative to the places file";
    fs::read(&path)
        .map_err(|why| Fault::usage_caused_by(why, format!("cannot read {}", path.display()), next))
}

fn sm_dp(real: &Handle, place: &SmDpPlace, folder: &Path, pki: &Pki) -> Result<ThirdPartySmDp, Fault> {
    let roots = match &place.trusts {
        Some(trusts) => tls_roots(&crate::pki::load(&folder.join(trusts))?),
        None => tls_roots(pki),
    };
    let mut client = Client::default();
    if let Some(at) = &place.connect_to {
        client = client.with_connect_to(host_of(place.address.as_str()), at);
    }
    let stock = place.profiles.iter().map(|profile| {
        Ok(StockedProfile {
            package: package(folder, &profile.package)?,
            code: profile.code.as_ref().map(|code| code.get_ref().clone()),
        })
    });
    let stock = stock.collect::<Result<_, Fault>>()?;
    let address = place.address.clone();
    let es2plus = place.es2plus.clone().unwrap_or_else(|| address.to_string());
    let transport =
        ExternalServer { real: real.clone(), client, roots, es9plus: address.to_string(), es2plus };
    Ok(ThirdPartySmDp { address, transport: Arc::new(transport), stock })
}

/// Connection to an external server. Virtual time stands still until it responds. Certificates are
/// validated at the real time.
struct ExternalServer {
    real: Handle,
    client: Client,
    roots: Vec<Vec<u8>>,
    es9plus: String,
    es2plus: String,
}

impl Transport for ExternalServer {
    fn link(&self, operator: Option<&Credential>) -> Result<Link, Fault> {
        let shown = operator.map(identity);
        let tls = ClientTls::new(&self.roots, shown.as_ref(), Arc::new(OsClock))?;
        let address = if operator.is_some() { &self.es2plus } else { &self.es9plus };
        let (link, real) = (self.client.link(address, Some(tls))?, self.real.clone());
        Ok(link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (link, real) = (link.clone(), real.clone());
            async move {
                let runtime_ended = || LinkFault::new(LinkFaultKind::Unreachable, "server", RUNTIME_ENDED);
                wait(&real, async move { world::send(&link, request).await })
                    .unwrap_or_else(|| Err(runtime_ended()))
            }
        })))
    }
}

fn open(real: &Handle, place: &CardPlace, at: CardInterfaceAt<'_>) -> Result<BoxCardInterface, Fault> {
    let cannot = |why| {
        let what = format!("cannot use the card of {}", place.device.get_ref());
        Fault::caused_by(why, what, "start the card, or correct its address").of_kind(FaultKind::Unreachable)
    };
    let opened = match at {
        CardInterfaceAt::Tcp(address) => {
            let address = address.to_owned();
            wait(real, async move { TcpCard::connect(&address).await.map(BoxCardInterface::new) })
        }
        CardInterfaceAt::At(modem) => {
            let modem = modem.to_owned();
            wait(real, async move { AtCard::open(&modem).await.map(BoxCardInterface::new) })
        }
        CardInterfaceAt::Vpcd(address) => {
            let address = address.to_owned();
            let slot = wait(real, async move { VpcdSlot::listen(&address).await });
            return slot.unwrap_or_else(|| Err(runtime_ended())).map(BoxCardInterface::new);
        }
    };
    opened.ok_or_else(runtime_ended)?.map_err(cannot)
}

fn runtime_ended() -> Fault {
    Fault::new("cannot reach the card", RUNTIME_ENDED, "report this")
}

/// Blocking adapter for a card interface in the socket runtime, used by the scenario's thread.
struct BlockingCard {
    real: Handle,
    /// `None` only if the socket runtime has ended.
    card_interface: Option<BoxCardInterface>,
}

impl BlockingCard {
    fn run_blocking<T: Send + 'static, F>(
        &mut self,
        work: impl FnOnce(BoxCardInterface) -> F,
    ) -> Result<T, CardInterfaceFault>
    where
        F: Future<Output = (BoxCardInterface, Result<T, CardInterfaceFault>)> + Send + 'static,
    {
        let runtime_ended = || CardInterfaceFault::Broken(RUNTIME_ENDED.into());
        let card_interface = self.card_interface.take().ok_or_else(runtime_ended)?;
        let (card_interface, outcome) = wait(&self.real, work(card_interface)).ok_or_else(runtime_ended)?;
        self.card_interface = Some(card_interface);
        outcome
    }
}

impl CardInterface for BlockingCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let command = command.to_vec();
        self.run_blocking(|mut card_interface| async move {
            let answer = card_interface.transmit(&command).await;
            (card_interface, answer)
        })
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        self.run_blocking(|mut card_interface| async move {
            let answer = card_interface.reset().await;
            (card_interface, answer)
        })
    }
}
