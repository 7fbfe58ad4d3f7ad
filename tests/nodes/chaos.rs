//! What happens to the nodes and the server: kills, restarts and cuts at random moments.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, rngs::StdRng};

use crate::{
    NODES,
    cluster::{Cluster, url},
    proxy::Proxy,
    support::{command::Node, server::Server},
    watch::Projecting,
};

/// Where the nodes listen now; a node that is down has none.
pub(crate) type Addresses = Arc<Mutex<Vec<Option<SocketAddr>>>>;

/// The nodes, their ways to the server, and what has happened to them.
pub(crate) struct Chaos {
    random: StdRng,
    nodes: Vec<Node>,
    servers: Vec<Option<Server>>,
    proxies: Vec<Proxy>,
    addresses: Addresses,
    node_kills: u32,
    takeovers: u32,
    server_kills: u32,
    cuts: u32,
}

impl Chaos {
    /// Starts the nodes.
    ///
    /// # Errors
    /// One does not start.
    pub(crate) fn init(folder: &Path, cluster: &Cluster, random: StdRng) -> anyhow::Result<Self> {
        let mut chaos = Self {
            random,
            nodes: Vec::new(),
            servers: Vec::new(),
            proxies: Vec::new(),
            addresses: Arc::new(Mutex::new(vec![None; NODES])),
            node_kills: 0,
            takeovers: 0,
            server_kills: 0,
            cuts: 0,
        };
        for number in 0..NODES {
            let proxy = Proxy::start(cluster.port)?;
            chaos.nodes.push(Node {
                data: folder.join(format!("node-{number}")),
                log: Some(url(proxy.port)),
                projections: Some(url(proxy.port)),
            });
            chaos.proxies.push(proxy);
            chaos.servers.push(None);
            chaos.start(number)?;
        }
        Ok(chaos)
    }

    /// Where the nodes listen, kept up to date.
    pub(crate) fn addresses(&self) -> Addresses {
        Arc::clone(&self.addresses)
    }

    /// What has happened.
    pub(crate) fn told(&self) -> String {
        format!(
            "{} nodes ({} while they projected) and {} servers killed, connections cut {} times",
            self.node_kills, self.takeovers, self.server_kills, self.cuts
        )
    }

    /// Disturbs for so long.
    ///
    /// # Errors
    /// Something does not come back.
    pub(crate) fn disturb(
        &mut self,
        cluster: &mut Cluster,
        projecting: &Projecting,
        time: Duration,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(self.random.random_range(20..400)));
            let node = self.random.random_range(0..NODES);
            match self.random.random_range(0..10_u32) {
                0 => self.kill_node(node)?,
                1..=2 => {
                    // More often the one that matters most.
                    let projecting = *projecting.lock().unwrap_or_else(PoisonError::into_inner);
                    self.takeovers += u32::from(projecting.is_some());
                    self.kill_node(projecting.unwrap_or(node))?;
                }
                3 => {
                    self.server_kills += 1;
                    cluster.kill()?;
                    thread::sleep(Duration::from_millis(self.random.random_range(0..300)));
                    cluster.start_again()?;
                }
                _ => {
                    self.cuts += 1;
                    let proxy = &self.proxies[node];
                    proxy.swallow(true);
                    thread::sleep(Duration::from_micros(self.random.random_range(0..4_000)));
                    proxy.cut();
                    proxy.swallow(false);
                }
            }
        }
        Ok(())
    }

    /// Everything runs.
    ///
    /// # Errors
    /// Something does not come back.
    pub(crate) fn calm(&mut self, cluster: &mut Cluster) -> anyhow::Result<()> {
        cluster.start_again()?;
        for number in 0..NODES {
            if self.servers[number].is_none() {
                self.start(number)?;
            }
        }
        Ok(())
    }

    /// Ends the nodes in order.
    ///
    /// # Errors
    /// One does not end.
    pub(crate) fn stop(&mut self) -> anyhow::Result<Vec<Node>> {
        for number in 0..NODES {
            self.set_address(number, None);
            if let Some(mut server) = self.servers[number].take() {
                server.kill()?;
            }
        }
        Ok(self.nodes.clone())
    }

    fn kill_node(&mut self, number: usize) -> anyhow::Result<()> {
        self.node_kills += 1;
        self.set_address(number, None);
        if let Some(mut server) = self.servers[number].take() {
            server.kill()?;
        }
        self.start(number)
    }

    fn start(&mut self, number: usize) -> anyhow::Result<()> {
        let server = Server::postbook(self.nodes[number].clone())?;
        self.set_address(number, Some(server.address));
        self.servers[number] = Some(server);
        Ok(())
    }

    fn set_address(&self, number: usize, address: Option<SocketAddr>) {
        let addresses = self.addresses.lock();
        addresses.unwrap_or_else(PoisonError::into_inner)[number] = address;
    }
}
