//! The proxy's thread: it takes connections, or refuses them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc as threads;

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::Protocol;
use super::connection::serve;
use super::faults::Faults;
use crate::port;

/// What the thread is told.
#[derive(Clone, Copy, Debug)]
enum Order {
    Refuse(bool),
    Cut,
}

/// An order, and where to say that it has been carried out.
type Told = (Order, threads::Sender<anyhow::Result<()>>);

/// The handle of the thread. Dropped, the thread ends, and every connection with it.
#[derive(Debug)]
pub(super) struct Listener {
    address: SocketAddr,
    orders: mpsc::UnboundedSender<Told>,
}

/// What the thread works with.
struct Work {
    address: SocketAddr,
    behind: SocketAddr,
    protocol: Protocol,
    faults: Arc<Faults>,
    orders: mpsc::UnboundedReceiver<Told>,
}

impl Listener {
    /// Listens on a free port, and gives what the thread is to run.
    pub(super) fn open(
        protocol: Protocol,
        behind: SocketAddr,
        faults: Arc<Faults>,
    ) -> anyhow::Result<(Self, impl FnOnce() + Send + 'static)> {
        let runtime = Builder::new_current_thread().enable_all().build().context("no runtime for a proxy")?;
        // Not one of the system's choice: it has to be had again after a time of refusing.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let (sender, orders) = mpsc::unbounded_channel();
        let work = Work { address, behind, protocol, faults, orders };
        Ok((Self { address, orders: sender }, move || run(&runtime, listener, work)))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn refuse(&self, refuse: bool) -> anyhow::Result<()> {
        self.order(Order::Refuse(refuse))
    }

    pub(super) fn cut(&self) -> anyhow::Result<()> {
        self.order(Order::Cut)
    }

    fn order(&self, order: Order) -> anyhow::Result<()> {
        let (done, answer) = threads::channel();
        self.orders.send((order, done)).ok().context("the proxy has ended")?;
        answer.recv().context("the proxy has ended")?
    }
}

fn run(runtime: &Runtime, listener: TcpListener, work: Work) {
    runtime.block_on(listen(Some(listener), work));
}

async fn listen(mut listener: Option<TcpListener>, mut work: Work) {
    let (cuts, _) = watch::channel(0_u64);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            told = work.orders.recv() => {
                let Some((order, done)) = told else { return };
                let result = match order {
                    Order::Refuse(true) => {
                        listener = None;
                        Ok(())
                    }
                    Order::Refuse(false) => reopen(&mut listener, work.address).await,
                    Order::Cut => {
                        cuts.send_modify(|count| *count += 1);
                        while connections.join_next().await.is_some() {}
                        Ok(())
                    }
                };
                let _ = done.send(result);
            }
            accepted = accept(listener.as_ref()) => {
                if let Ok(client) = accepted {
                    let (behind, protocol) = (work.behind, work.protocol);
                    connections.spawn(serve(client, behind, protocol, work.faults.clone(), cuts.subscribe()));
                }
            }
            // Forgets those that are over.
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The next client; never, while there is no listener.
async fn accept(listener: Option<&TcpListener>) -> std::io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(client, _)| client),
        None => std::future::pending().await,
    }
}

async fn reopen(listener: &mut Option<TcpListener>, address: SocketAddr) -> anyhow::Result<()> {
    if listener.is_none() {
        *listener = Some(TcpListener::bind(address).await.with_context(|| format!("{address} is taken"))?);
    }
    Ok(())
}
