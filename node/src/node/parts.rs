//! The running parts of a node: [`Running::start`] is the one place where they are wired.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::Context;
use origo_auth::{NodeId, NodeIdentity};
use origo_cascade::{Mesh, MeshConfig, MeshEvent, View};
use origo_cascade_core::route::Place;
use origo_cascade_core::{Node, NodeAddress};
use origo_node_core::room::{Rooms, RoomsConfig};
use origo_node_core::spread::{self, Spread};
use origo_node_core::{media, worker_of};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::metrics_page;
use crate::config::{self, Config, LiveKeys, Sources};
use crate::drain::{self, Admin, Left, Moving, Orders, Refuges};
use crate::geo::Geo;
use crate::http::{self, Surface};
use crate::metrics::Dropped;
use crate::overload::{self, Shown};
use crate::paths::{Answering, Paths, ViewSource};
use crate::rooms::{self, Loads, RoomsTask, ToMesh, ToWorker};
use crate::state::AppState;
use crate::webhooks;
use crate::worker::{self, Entrance, WorkerHandle};

/// How long a node that starts waits for others at most: gossip finds them within a second.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);
/// From the first node that is known until the links to all are up.
const LINKS_COME_UP: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A node that serves.
pub struct Running {
    rooms: RoomsTask,
    mesh: Arc<Mesh>,
    workers: Arc<Vec<WorkerHandle>>,
    webhooks: Option<webhooks::Running>,
    /// Ends the listeners when it is dropped.
    stop: watch::Sender<()>,
    listeners: [JoinHandle<()>; 2],
    /// Whether the node drains, and what is on it.
    admin: Admin,
    draining: JoinHandle<Left>,
    /// Where people go on who are here at the end.
    refuges: Refuges,
    /// Tasks that only look; they end with the node.
    watchers: [JoinHandle<()>; 2],
}

impl Running {
    /// Starts everything, from the bottom up: what can fail for the operator's reasons comes first and nothing is
    /// announced before it; workers before the mesh, which puts packets into their inboxes; the mesh before the rooms,
    /// which ask it; and the door to clients last.
    pub async fn start(config: Config, sources: Sources, identity: NodeIdentity) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        let node = identity.id;
        let geo = Geo::open(config.geoip.as_deref())?;
        let http_listener = listen(config.http, "HTTP").await?;
        let metrics_listener = listen(config.metrics, "metrics").await?;

        let (media_events, media) = mpsc::unbounded_channel();
        let workers = Arc::new(start_workers(&config, &media_events)?);
        let (mesh, news) = start_mesh(&config, identity, &workers).await?;
        let mesh = Arc::new(mesh);
        link(&workers, &mesh);

        let dropped = Dropped::default();
        let keys = LiveKeys::new(config.keys.clone());
        let (inlet, outlet) = config.webhooks.as_ref().map(|_| webhooks::channel()).unzip();
        let rooms = Rooms::new(Instant::now(), rooms_config(&config, node));
        let parts = rooms::Parts {
            rooms,
            media,
            news,
            command: commands(&workers),
            spread: Spread::new(spread::Settings { workers: workers.len(), at: config.media_spread_at }),
            loads: loads(&workers),
            ask: asks(&mesh),
            keys: keys.clone(),
            dropped: dropped.clone(),
            webhooks: inlet.clone(),
            paths: Answering::new(node, view(&mesh)),
        };
        let (handle, rooms) = rooms::start(parts);

        let webhooks = match outlet.zip(config.webhooks.clone()) {
            Some((outlet, settings)) => {
                let (rooms, nodes) = (handle.clone(), nodes(&mesh));
                let parts = webhooks::Parts { node, settings, keys: keys.clone(), rooms, ask: asks(&mesh), nodes };
                Some(webhooks::start(outlet, parts, &config.data_dir.join("webhooks"))?)
            }
            None => None,
        };
        let app = AppState {
            config: config.clone(),
            node,
            paths: Paths::new(node, handle.clone(), view(&mesh)),
            rooms: handle,
            entrance: if config.ice_tcp { Entrance::to(&workers) } else { Entrance::default() },
            webhooks: inlet,
            keys,
            nodes: nodes(&mesh),
            overload: Shown::default(),
            dropped,
        };
        let admin = Admin { orders: Orders::default(), rooms: app.rooms.clone(), webhooks: app.webhooks.clone() };
        let place = Place { latitude: config.latitude, longitude: config.longitude };
        let refuges = Refuges { node, place, nodes: nodes(&mesh) };
        let overload = overload::Parts {
            limits: config.limits.clone(),
            shown: app.overload.clone(),
            rooms: app.rooms.clone(),
            refuges: refuges.clone(),
            workers: weak(&workers),
            mesh: weak(&mesh),
        };
        let watchers = [follow_keys(sources, app.keys.clone()), tokio::spawn(overload::watch(overload))];
        let moving = Moving { admin: admin.clone(), refuges: refuges.clone(), mesh: weak(&mesh) };
        let draining = tokio::spawn(drain::run(moving));
        let surface = Surface::new(app, geo);
        let (stop, stopped) = watch::channel(());
        let page = metrics_page::Source {
            surface: surface.clone(),
            workers: weak(&workers),
            mesh: weak(&mesh),
            admin: admin.clone(),
        };
        let listeners = [
            tokio::spawn({
                let (settled, stopped) = (settled(config.clone(), nodes(&mesh)), stopped.clone());
                async move {
                    settled.await;
                    http::serve(http_listener, surface, ended(stopped)).await;
                }
            }),
            tokio::spawn(metrics_page::serve(metrics_listener, page, ended(stopped))),
        ];
        tracing::info!(region = config.region, url = config.url, metrics = %config.metrics, "the node serves");
        Ok(Self { rooms, mesh, workers, webhooks, stop, listeners, admin, draining, refuges, watchers })
    }

    /// Has the node drain within a time; of two times the earlier end counts.
    pub fn drain(&self, within: Duration) {
        self.admin.orders.drain(Instant::now(), within);
    }

    /// Waits until it is certain that another process runs with this node's identity.
    pub fn double(&self) -> impl Future<Output = ()> + use<> {
        self.mesh.double()
    }

    /// What is on the node.
    pub async fn left(&self) -> Left {
        self.admin.left().await
    }

    /// Waits until a drain is over; gives what it has left. Cancel safe.
    pub async fn drained(&mut self) -> Left {
        match (&mut self.draining).await {
            Ok(left) => left,
            Err(error) => {
                tracing::error!(%error, "the drain broke");
                self.left().await
            }
        }
    }

    /// Ends everything, from the top down.
    pub async fn stop(self) {
        let Self { rooms, mesh, workers, webhooks, stop, listeners, admin, draining, refuges, watchers } = self;
        draining.abort();
        // Who is still here is told where to go on, and is not taken to have left: the next node takes them over.
        let refuges = refuges.now();
        if !refuges.is_empty() {
            admin.rooms.drain(refuges, usize::MAX).await;
        }
        watchers.iter().for_each(JoinHandle::abort);
        rooms.stop().await;
        // What the rooms have just told is on disk after this.
        if let Some(webhooks) = webhooks {
            webhooks.stop().await;
        }
        drop(stop);
        for listener in listeners {
            if let Err(error) = listener.await {
                tracing::error!(%error, "a listener broke");
            }
        }
        // All others hold these weakly, so that the last strong ones are here.
        if let Some(mesh) = Arc::into_inner(mesh) {
            mesh.shutdown().await;
        }
        if let Some(workers) = Arc::into_inner(workers) {
            let stopped = tokio::task::spawn_blocking(|| workers.into_iter().for_each(WorkerHandle::stop));
            if let Err(error) = stopped.await {
                tracing::error!(%error, "a media worker broke");
            }
        }
    }
}

async fn listen(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen for {what} on TCP {address}"))
}

fn start_workers(
    config: &Config,
    events: &mpsc::UnboundedSender<media::Event>,
) -> Result<Vec<WorkerHandle>, worker::StartError> {
    let start = |(index, &bind): (usize, &SocketAddr)| {
        let (advertise, tcp) = (config.media_advertise.clone(), tcp_addresses(config));
        let (count, bwe, egress) = (config.media.len(), config.bwe, config.egress);
        let loudest = config.audio_loudest;
        let sections = media::Sections { sounds: config.audio_sections, pictures: config.video_sections };
        let worker = worker::Config { index, count, bind, advertise, tcp, bwe, egress, loudest, sections };
        worker::start(worker, events.clone())
    };
    let workers: Vec<WorkerHandle> = config.media.iter().enumerate().map(start).collect::<Result<_, _>>()?;
    worker::join(&workers);
    Ok(workers)
}

/// Clients without UDP come in through the door of HTTP.
fn tcp_addresses(config: &Config) -> Vec<SocketAddr> {
    let addresses = config.advertise.iter().map(|&ip| SocketAddr::new(ip, config.http.port()));
    addresses.filter(|_| config.ice_tcp).collect()
}

async fn start_mesh(
    config: &Config,
    identity: NodeIdentity,
    workers: &[WorkerHandle],
) -> anyhow::Result<(Mesh, mpsc::Receiver<MeshEvent>)> {
    let address = NodeAddress { quic: SocketAddr::new(link_address(config), config.quic.port()) };
    let node = Node {
        id: identity.id,
        region: config.region.clone(),
        country: config.country.clone(),
        continent: config.continent.clone(),
        latitude: config.latitude,
        longitude: config.longitude,
        url: config.url.clone(),
        address,
        load: 0.0,
        draining: false,
        overload: Default::default(),
    };
    let mesh = MeshConfig {
        node,
        bind: config.quic,
        seeds: resolve(&config.seeds).await,
        rates_bps: config.link_rates_bps.clone(),
        policy: config.routing.policy.clone(),
        prices: config.routing.prices.clone(),
        inboxes: workers.iter().map(WorkerHandle::inbox).collect(),
        worker_of,
    };
    Ok(Mesh::start(mesh, identity)?)
}

/// Other nodes dial the first advertised address that the link socket can answer from.
fn link_address(config: &Config) -> IpAddr {
    let reachable = |ip: &&IpAddr| ip.is_ipv4() == config.quic.is_ipv4() || config.quic.is_ipv6();
    *config.advertise.iter().find(reachable).unwrap_or(&config.advertise[0])
}

/// A seed whose name is not known right now is left out: one that answers is enough.
async fn resolve(seeds: &[String]) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for seed in seeds {
        match tokio::net::lookup_host(seed).await {
            Ok(found) => addresses.extend(found),
            Err(error) => tracing::warn!(seed, %error, "this seed has no address"),
        }
    }
    addresses
}

fn link(workers: &[WorkerHandle], mesh: &Mesh) {
    for worker in workers {
        let links = mesh.links();
        worker.set_links(Arc::new(move |batch| links.send(batch)));
    }
}

fn commands(workers: &Arc<Vec<WorkerHandle>>) -> ToWorker {
    let workers = workers.clone();
    Box::new(move |worker, command| workers[worker].command(command))
}

fn loads(workers: &Arc<Vec<WorkerHandle>>) -> Loads {
    let workers = workers.clone();
    Box::new(move || workers.iter().map(WorkerHandle::load).collect())
}

fn asks(mesh: &Arc<Mesh>) -> ToMesh {
    let mesh = mesh.clone();
    Arc::new(move |input| mesh.ask(input))
}

fn rooms_config(config: &Config, node: NodeId) -> RoomsConfig {
    RoomsConfig {
        node,
        region: config.region.clone(),
        country: config.country.clone(),
        residency: config.routing.residency.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: rand::random(),
    }
}

fn follow_keys(sources: Sources, keys: LiveKeys) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = config::follow_keys(sources, keys).await {
            tracing::warn!(%error, "changes of the API keys are not followed");
        }
    })
}

fn nodes(mesh: &Arc<Mesh>) -> Arc<dyn Fn() -> Vec<Node> + Send + Sync> {
    let mesh = weak(mesh);
    Arc::new(move || mesh.upgrade().map(|mesh| mesh.nodes()).unwrap_or_default())
}

fn view(mesh: &Arc<Mesh>) -> ViewSource {
    let mesh = weak(mesh);
    Arc::new(move || {
        let mesh = mesh.upgrade();
        Box::pin(async move {
            match mesh {
                Some(mesh) => mesh.view().await.unwrap_or_default(),
                None => View::default(),
            }
        })
    })
}

/// Ready when the node knows others, if it is to know any. Whoever comes back to a node that has just been started again
/// would be a stranger to one that knows nobody; connections wait at the door meanwhile.
async fn settled(config: Arc<Config>, nodes: Arc<dyn Fn() -> Vec<Node> + Send + Sync>) {
    if config.seeds.is_empty() {
        return;
    }
    let knows_others = async {
        while nodes().len() < 2 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        tokio::time::sleep(LINKS_COME_UP).await;
    };
    // Nobody may be there: the first node of a mesh serves alone.
    let _ = tokio::time::timeout(SETTLES_WITHIN, knows_others).await;
}

fn weak<T>(strong: &Arc<T>) -> Weak<T> {
    Arc::downgrade(strong)
}

/// Ready when the sender is dropped.
async fn ended(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}
