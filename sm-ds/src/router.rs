//! The functions of the SM-DS, and its part in the request loop.

use rsp::{
    sgp22::{es9plus, es11 as ds11, es12 as ds12},
    time::Timestamp,
};
use rsp_server::{Core, Function, Interface, Route, Server, Settings};
use world::Collection;

use crate::{
    config::Config,
    credentials::Credentials,
    es11,
    es12::{self, Caller},
    records::{SESSIONS, Session},
    server::SmDs,
};

const ES11: Interface = Interface { name: "ES11", peer: "LPA", paths: &[es9plus::path, ds11::path] };
const ES12: Interface = Interface { name: "ES12", peer: "SM-DP+", paths: &[ds12::path] };

impl Server for SmDs {
    const NAME: &'static str = "SM-DS";
    const FUNCTIONS: &'static [&'static dyn Route<Self>] = &[
        &Function::of_lpa::<ds11::InitiateAuthentication>(&ES11, |context, (), request| {
            Box::pin(es11::initiate_authentication::execute(context, request))
        })
        .opening_a_session(),
        &Function::of_lpa::<ds11::AuthenticateClient>(&ES11, |context, (), request| {
            Box::pin(es11::authenticate_client::execute(context, request))
        }),
        &Function::of_peer::<ds12::RegisterEvent>(&ES12, Caller::of, |context, caller, request| {
            Box::pin(es12::register_event::execute(context, caller, request))
        }),
        &Function::of_peer::<ds12::DeleteEvent>(&ES12, Caller::of, |context, caller, request| {
            Box::pin(es12::delete_event::execute(context, caller, request))
        }),
    ];
    const SESSIONS: Collection<Session> = SESSIONS;

    type Config = Config;
    type Credentials = Credentials;
    type Session = Session;

    fn core(&self) -> &Core<Config, Credentials> {
        &self.0
    }

    fn settings(config: &Config) -> &Settings {
        &config.server
    }
}

impl rsp_server::Session for Session {
    fn expires(&self) -> Timestamp {
        self.expires
    }

    /// A session ends with the authentication.
    fn is_authenticated(&self) -> bool {
        false
    }
}
