//! `landfall device run`: a device that stays on.

use std::{path::Path, sync::Arc, time::Duration};

use clap::Args;
use device::{Modem, Online, OnlineSettings, Teller};
use euicc_sim::{Card, Quirk};
use net::{Client, TcpDial};
use network::RemoteNetworks;
use rsp::{ids::Eid, ota::cat::Imei};
use world::{Fault, PhoneNumber};

use super::Command;
use crate::{
    command::sm_dp::stop_signal,
    faults::Trouble,
    m2m::{
        factory::{self, CardSide},
        sm_sr::CARD_PATH,
    },
    output::{Lines, remark},
    parties,
    settings::Settings,
};

/// How it runs.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The device's IMEI, 15 digits
    #[arg(long, value_parser = imei)]
    imei: Option<Imei>,
    /// Seconds between two searches for a network
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    search_pause: u64,
    /// Where a host is that the card opens channels to; may be repeated
    #[arg(long = "channel-to", value_name = "HOST=HOST:PORT", value_parser = elsewhere)]
    channels_to: Vec<(String, String)>,
    /// The card of this process is an M2M eUICC that left the factory with this profile (TCA package, DER), as `landfall
    /// eum register` tells the SM-SR
    #[arg(long, value_name = "FILE", requires = "sm_sr_number")]
    first_profile: Option<std::path::PathBuf>,
    /// The number of its first SM-SR
    #[arg(long, value_name = "NUMBER", value_parser = parties::number, requires = "first_profile")]
    sm_sr_number: Option<PhoneNumber>,
    /// Where its first SM-SR takes cards over HTTPS; without it the card opens no sessions
    #[arg(long, value_name = "IP:PORT", requires = "first_profile")]
    sm_sr_cards: Option<std::net::SocketAddr>,
    /// That card waits seconds where one in the field waits minutes: for its network, for confirmations, before it tries
    /// again
    #[arg(long, requires = "first_profile")]
    impatient: bool,
}

impl Options {
    /// The M2M card that is wanted, if one is.
    pub(super) fn m2m(&self) -> Option<M2m<'_>> {
        Some(M2m {
            options: self,
            package: self.first_profile.as_deref()?,
            number: self.sm_sr_number.as_ref()?,
        })
    }
}

/// An M2M card of this process, in the place where others keep theirs.
pub(super) struct M2m<'a> {
    options: &'a Options,
    package: &'a Path,
    number: &'a PhoneNumber,
}

impl M2m<'_> {
    /// The card itself.
    ///
    /// # Errors
    /// Its package cannot be read, the PKI does not vouch for it, or its memory is not its own.
    pub(super) fn card(
        &self,
        pki: &certs::Pki,
        eid: Eid,
        memory: Box<dyn world::Memory>,
        world: &world::World,
        quirks: Vec<Quirk>,
    ) -> Result<Card, Fault> {
        let package = crate::command::sm_dp::read(self.package)?;
        let https = self.options.sm_sr_cards;
        let side = CardSide { number: self.number.clone(), https, path: CARD_PATH.to_owned() };
        let mut description = factory::card_with(pki, eid, &package, &side)?;
        if let Some(m2m) = description.m2m.as_mut().filter(|_| self.options.impatient) {
            m2m.toolkit = factory::impatient();
        }
        description.quirks.extend(quirks);
        let card = Card::open(description, memory, world.clone())?;
        if card.is_stored() {
            remark(&format!(
                "card {eid} was there before and is as it was left: --first-profile, --sm-sr-number and --sm-sr-cards say how it is \
                 made, and change nothing any more; another --eid or --data-dir makes another card"
            ));
        }
        Ok(card)
    }
}

fn imei(text: &str) -> Result<Imei, String> {
    Imei::of_digits(text).ok_or_else(|| "an IMEI has 15 digits".to_owned())
}

fn elsewhere(text: &str) -> Result<(String, String), String> {
    let (host, address) =
        text.split_once('=').ok_or("a host, = and where it is, such as 10.0.0.1=127.0.0.1:8446")?;
    Ok((host.to_owned(), address.to_owned()))
}

impl Command {
    /// Runs until it is stopped.
    ///
    /// # Errors
    /// The card does not answer any more.
    pub(super) async fn run_online(
        &self,
        options: &Options,
        trouble: &Trouble,
        settings: &Settings,
        json: bool,
    ) -> Result<(), Fault> {
        let (world, clock) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let (door, eid) = self.door(trouble, settings, &pki, &world).await?;
        let teller = Teller::new("device", clock, Arc::new(Lines::new(world.now(), json)));
        let radio = Client::default().link(&settings.network, None)?;
        let mut modem = Modem::new(door, RemoteNetworks::new(radio), teller.clone());
        modem.set_visible(self.visible.clone());
        let defaults = OnlineSettings::default();
        let device = OnlineSettings {
            imei: options.imei.unwrap_or(defaults.imei),
            search_pause: Duration::from_secs(options.search_pause.max(1)),
            ..defaults
        };
        let dial = options
            .channels_to
            .iter()
            .fold(TcpDial::default(), |dial, (host, address)| dial.with_connect_to(host, address));
        let mut device = Online::new(modem, dial, device, teller);
        let handle = device.handle();
        remark(&format!("device with card {eid}; Ctrl-C stops it"));
        let stop = async {
            stop_signal().await;
            handle.stop();
            remark("the device stops when it has done what it is at; Ctrl-C stops it at once");
            stop_signal().await;
        };
        tokio::select! {
            ended = device.run() => ended.map_err(|error| {
                let next = "look at the timeline above; start it again when the card is there";
                Fault::new("the device has lost its card", error.to_string(), next)
            }),
            () = stop => Ok(()),
        }
    }
}
