//! Connections: taken, limited in time, and ended.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use super::{Phase, Server, routes};

/// So long a connection may take for the head of a request, and may be kept open without one.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// Before the next attempt where no connection could be taken: there are too many.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until the server is to end; gives those that are still open.
pub async fn accept(listener: TcpListener, server: Arc<Server>) -> GracefulShutdown {
    allow_more_files();
    let service = TowerToHyperService::new(routes::router(server.clone()));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.reached(Phase::Ending) => return open,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Pieces of an answer are not kept back until there are more.
        let _ = stream.set_nodelay(true);
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        tokio::spawn(async move {
            // Who sends nonsense or goes away is no matter.
            let _ = connection.await;
        });
    }
}

/// As many open connections as the system lets this process have.
fn allow_more_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        // Where it is not allowed, fewer will have to do.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}
