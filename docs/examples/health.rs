//! Serves the state of a client over HTTP: `cargo run --example health -- localhost:9092 127.0.0.1:8080`, and then
//! `curl -i http://127.0.0.1:8080/`. Ends when standard input does.
//!
//! The client connects in the background, so that the endpoint answers while Kafka is down.

use std::error::Error;
use std::io;

use ottla::Client;
use ottla::client::State;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, listen] = &arguments[..] else { return Err("usage: health SERVERS LISTEN".into()) };
    let client = Client::connect_lazy(servers.split(','))?;
    let listener = TcpListener::bind(listen).await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(report(client.clone()));
    let stop = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    tokio::select! {
        served = serve(&client, listener) => served?,
        _ = stop => {}
    }
    Ok(())
}

/// Prints every change.
async fn report(client: Client) {
    let mut states = client.state();
    // The watch does not keep the client alive.
    drop(client);
    while let Some(state) = states.changed().await {
        eprintln!("{state:?}");
    }
}

async fn serve(client: &Client, listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let (status, text) = readiness(&client.state().current());
        // Each request is short, and a probe that hangs up hurts nobody.
        tokio::spawn(async move { respond(stream, status, &text).await });
    }
}

/// The status of the response and its text.
fn readiness(state: &State) -> (&'static str, String) {
    match state {
        State::Connected => ("200 OK", "connected".to_owned()),
        State::Degraded { brokers } => ("200 OK", format!("brokers {brokers:?} cannot be reached")),
        State::Unreachable { since, error } => {
            let text = format!("Kafka cannot be reached for {} s: {error}", since.elapsed().as_secs());
            ("503 Service Unavailable", text)
        }
        other => ("503 Service Unavailable", format!("{other:?}").to_lowercase()),
    }
}

async fn respond(mut stream: TcpStream, status: &str, text: &str) -> io::Result<()> {
    // The request does not matter, whatever it is.
    let _ = stream.read(&mut [0; 1024]).await?;
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}\n",
        text.len() + 1
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}
