use std::{net::Ipv6Addr, sync::Arc, time::Duration};

use aws_config::{
    BehaviorVersion, Region, environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, profile::ProfileFileRegionProvider,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::{Client, config};
use aws_smithy_http_client::{
    Builder, Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};

use super::{
    credentials::BackgroundCredentials,
    misconfigured, no_thread,
    parameters::{Parameter, split},
};
use crate::{
    runtime::{LibraryThread, run_blocking},
    store::{
        DynamoStore, LeaseStore, Operation, StoreError,
        on_library_thread::{self, OnLibraryThread},
    },
};

const KIND: &str = "dynamodb";
const KNOWN: &str =
    "the parameters are `region`, `endpoint`, `create_table_if_missing` and `call_limit`";
const TLS: Provider = Provider::Rustls(CryptoMode::Ring);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) table: String,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) create: bool,
    pub(super) call_limit: Option<Duration>,
}

impl Target {
    pub(super) fn parse(rest: &str) -> Result<Self, StoreError> {
        let refuse = |message: &str| Err(misconfigured(KIND, message));
        let Some(rest) = rest.strip_prefix("//") else {
            return refuse("two slashes are missing: write `dynamodb://TABLE`");
        };
        if rest.contains('@') {
            return refuse(NO_CREDENTIALS);
        }
        let (table, query) = rest.split_once('?').unwrap_or((rest, ""));
        let table = table.strip_suffix('/').unwrap_or(table);
        let odd = |c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c);
        if !(3..=255).contains(&table.len()) || table.contains(odd) {
            return refuse(
                "the name of the table must have 3 to 255 of the characters `a-z A-Z 0-9 _ - .`: \
                 write `dynamodb://TABLE`",
            );
        }
        let mut target = Self {
            table: table.to_owned(),
            region: None,
            endpoint: None,
            create: false,
            call_limit: None,
        };
        for parameter in split(KIND, query)? {
            target.take(parameter)?;
        }
        Ok(target)
    }

    fn take(&mut self, parameter: Parameter<'_>) -> Result<(), StoreError> {
        let refuse = |message: &str| Err(misconfigured(KIND, message));
        match parameter.name {
            "region" => {
                let region = parameter.decoded(KIND)?;
                if region.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
                    return refuse("the value of the parameter `region` is not a region name");
                }
                self.region = Some(region);
            }
            "endpoint" => {
                let endpoint = parameter.decoded(KIND)?;
                if endpoint.contains('@') {
                    return refuse(NO_CREDENTIALS);
                }
                if !is_address(&endpoint) {
                    return refuse(
                        "the value of the parameter `endpoint` is not an address: write \
                         `http://HOST:PORT` or `https://HOST`",
                    );
                }
                self.endpoint = Some(endpoint);
            }
            "call_limit" => self.call_limit = Some(parameter.duration(KIND)?),
            "create_table_if_missing" => {
                self.create = match &*parameter.decoded(KIND)? {
                    "true" => true,
                    "false" => false,
                    _ => {
                        return refuse(
                            "the parameter `create_table_if_missing` must be `true` or `false`",
                        );
                    }
                };
            }
            _ => {
                let message = format!("{} is unknown; {KNOWN}", parameter.shown());
                return refuse(&message);
            }
        }
        Ok(())
    }

    pub(super) async fn open(self) -> Result<Arc<dyn LeaseStore>, StoreError> {
        let host = LibraryThread::of_locks().map_err(|error| no_thread(KIND, error))?;
        if !(self.endpoint.as_ref()).is_some_and(|endpoint| endpoint.starts_with("http:")) {
            // Lets the SDK read and cache the machine's certificates now, which are hundreds of files on some
            // systems. Otherwise it would read them at the first request, on the thread of the locks.
            let read = run_blocking(|| drop(Connector::builder().tls_provider(TLS).build()));
            read.await.map_err(|error| no_thread(KIND, error))?;
        }
        let made = host.run(self.make()).await;
        let made = made.map_err(|lost| on_library_thread::error(&lost, KIND, Operation::Open))?;
        Ok(Arc::new(OnLibraryThread::new(Arc::new(made?), host)))
    }

    async fn make(self) -> Result<DynamoStore, StoreError> {
        let region = match self.region {
            Some(region) => Some(Region::new(region)),
            None => {
                // The default chain would also send requests to the metadata service, on a network that may not be
                // Amazon's.
                let variable = EnvironmentVariableRegionProvider::new();
                let profile = ProfileFileRegionProvider::new();
                let chain = RegionProviderChain::first_try(variable).or_else(profile);
                chain.region().await
            }
        };
        let Some(region) = region else {
            return Err(misconfigured(
                KIND,
                "no region is set: add `?region=NAME` to the URL, or set `AWS_REGION` or a region in \
                 the profile",
            ));
        };
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(Builder::new().tls_provider(TLS).build_https())
            .region(region);
        if let Some(endpoint) = self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let config = Box::pin(loader.load()).await;
        let credentials = config
            .credentials_provider()
            .map(BackgroundCredentials::new);
        let mut config = config::Builder::from(&config);
        config.set_credentials_provider(credentials.map(SharedCredentialsProvider::new));
        let mut store = DynamoStore::new(Client::from_conf(config.build()), self.table);
        if let Some(limit) = self.call_limit {
            store = store.call_limit(limit);
        }
        if self.create {
            store.create_table_if_missing().await?;
        }
        Ok(store)
    }
}

const NO_CREDENTIALS: &str = "the URL must not contain credentials: set them in the environment \
    (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`) or in a profile, or use the role of the container or \
    machine";

/// Whether requests can be sent to this address. The SDK does not check it before the first request.
fn is_address(text: &str) -> bool {
    let host = text.strip_prefix("http://");
    let Some(host) = host.or_else(|| text.strip_prefix("https://")) else {
        return false;
    };
    let authority = host.split('/').next().unwrap_or(host);
    let (name, port) = match authority.rsplit_once(':') {
        // An IPv6 address contains colons itself.
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (authority, None),
    };
    let is_host = match name.strip_prefix('[') {
        Some(rest) => (rest.strip_suffix(']')).is_some_and(|it| it.parse::<Ipv6Addr>().is_ok()),
        None => !name.is_empty() && !name.contains(['[', ']', ':']),
    };
    let odd = |c: char| !c.is_ascii_graphic() || "\"<>\\^`{|}?#".contains(c);
    is_host
        && !text.contains(odd)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
}
