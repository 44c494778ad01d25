"""Puts a server together, from its store to its surfaces, and opens and closes its parts in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version as package_version
from pathlib import Path

from pydantic import BaseModel
from starlette.routing import Route

from repomesh.adapters.bus.choice import open_bus
from repomesh.adapters.contents.choice import move_into_database, open_contents
from repomesh.adapters.llm.completions import EndpointCompletions
from repomesh.adapters.llm.embeddings import EndpointEmbedder
from repomesh.domains.agents.authentication import Authenticator, verify
from repomesh.domains.webhooks.models import WebhookSecret
from repomesh.domains.webhooks.operations import show_again
from repomesh.domains.workspaces import tokens
from repomesh.domains.workspaces.errors import AnotherRepository
from repomesh.domains.workspaces.operations import create, home_workspace
from repomesh.jobs.contents import ContentSweeper
from repomesh.jobs.embedding import EmbeddingJob
from repomesh.jobs.implicit_heartbeats import ImplicitHeartbeats
from repomesh.jobs.merge_queue.worker import MergeQueue
from repomesh.jobs.supervised import SupervisedWorker
from repomesh.jobs.sweeper import CONSULTING_SWEEPS, PLANNING_SWEEPS, Sweeper
from repomesh.jobs.text_rebuild import TextRebuild
from repomesh.jobs.transcripts import Transcripts
from repomesh.jobs.uptime import UptimeClock
from repomesh.jobs.webhook_sender import WebhookSender
from repomesh.jobs.webhooks import WebhookDeliveryJob
from repomesh.kernel.clock import Clock, system_clock
from repomesh.kernel.dispatch import Dispatcher
from repomesh.kernel.errors import Unauthenticated
from repomesh.kernel.identity import Role, system_caller
from repomesh.kernel.ids import new_id
from repomesh.kernel.open_files import OpenFiles
from repomesh.kernel.rates import RateLimiter
from repomesh.kernel.settings import Settings
from repomesh.kernel.telemetry import Metrics
from repomesh.operations import reactions, registry
from repomesh.store import folder, migrate
from repomesh.store.base import Store
from repomesh.store.open import open_store
from repomesh.store.tail import Tails
from repomesh.store.transaction import Transaction
from repomesh.surfaces.gateway import Gateway
from repomesh.surfaces.hooks.routes import Hooks
from repomesh.surfaces.http.application import application
from repomesh.surfaces.http.asgi_messages import ASGIApp
from repomesh.surfaces.inbound.endpoint import WebhookEndpoint
from repomesh.surfaces.inbound.openapi_actions import Actions
from repomesh.surfaces.mcp.mount import Mount
from repomesh.surfaces.revocations import Revocations
from repomesh.surfaces.stream.connections import Connections
from repomesh.surfaces.stream.routes import stream_routes

VERSION = package_version("repomesh")


class Server:
    """A complete server. `asgi` answers requests inside the context `running()`.

    With `damage` its database is only read, and no worker runs.
    """

    def __init__(self, settings: Settings, clock: Clock = system_clock, damage: Sequence[str] = ()) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.store = open_store(settings, self.metrics, clock, damage)
        self.store.contents = open_contents(self.store)
        self.store.reactions = reactions
        self.bus = open_bus(settings)
        self.tails = Tails(self.store, self.metrics)
        self.bus.subscribe(self.tails.wake)
        self.revocations = Revocations(self.tails, self.store)
        self.authenticate = Authenticator(self.store)
        self.uptime = UptimeClock(self.store)
        self.dispatch = Dispatcher(
            registry,
            self.store,
            self.tails,
            RateLimiter({"messages": settings.messages_per_minute}),
            self.metrics,
            verify=verify,
            renew_secret=_renew_secret,
            access_changed=self._access_changed,
            completions=EndpointCompletions(settings),
            embedder=EndpointEmbedder(settings),
            uptime=self.uptime,
        )
        self.contents = ContentSweeper(self.store, self.store.contents)
        self.sweeper = Sweeper(
            registry, self.dispatch, self.store, self.bus, settings.sweep_every_s, uptime=self.uptime
        )
        self.consulting = Sweeper(
            registry, self.dispatch, self.store, self.bus, settings.sweep_every_s, CONSULTING_SWEEPS
        )
        self.planning = Sweeper(
            registry, self.dispatch, self.store, self.bus, settings.sweep_every_s, PLANNING_SWEEPS
        )
        self.text_rebuild = TextRebuild(self.store, settings.sweep_every_s)
        self.embedding = EmbeddingJob(registry, self.dispatch, self.store, settings.sweep_every_s)
        sender = WebhookSender(settings.webhook_hosts, clock, self.metrics, VERSION)
        self.webhooks = WebhookDeliveryJob(registry, self.dispatch, self.store, self.bus, sender)
        self.merge_queue = MergeQueue(registry, self.dispatch, self.store, self.bus)
        self.implicit_heartbeats = ImplicitHeartbeats(
            registry, self.dispatch, settings.agent_inactive_after_s
        )
        self.dispatch.on_call(self.implicit_heartbeats.record_call)
        self.store.on_commit(self.bus.publish)
        self.gateway = Gateway(
            registry=registry,
            dispatch=self.dispatch,
            authenticate=self.authenticate,
            tails=self.tails,
            revocations=self.revocations,
            store=self.store,
            settings=settings,
            metrics=self.metrics,
            version=VERSION,
        )
        self.mcp = Mount(self.gateway)
        self.streams = Connections(self.gateway)
        self.transcripts = Transcripts(registry, self.dispatch, self.store, settings.sweep_every_s)
        self.hooks = Hooks(self.gateway, self.transcripts)
        extra_routes = [
            Route("/mcp", self.mcp),
            self.hooks.route(),
            *stream_routes(self.gateway, self.streams),
            WebhookEndpoint(self.gateway, clock).route(),
            Actions(self.gateway).route(),
        ]
        self.asgi: ASGIApp = application(
            self.gateway, extra_routes, [OpenFiles().shortage, self.mcp.failure, self._failing_worker]
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        """Start the workers; stop them and close the store in the reverse order."""
        async with self.without_workers():
            workers = self._workers()
            if workers:
                await self.uptime.tick()
            for worker in workers:
                worker.start()
            try:
                async with self.mcp.running():
                    yield self
            finally:
                await self.hooks.service.settled()  # they still ask the transcripts
                for worker in reversed(workers):
                    await worker.stop()

    def _workers(self) -> list[SupervisedWorker]:
        """The workers that are needed: none for a damaged database, since they write."""
        if self.store.damage:
            return []
        workers: list[SupervisedWorker] = [
            self.sweeper,
            self.contents,
            self.transcripts,
            self.text_rebuild,
            self.webhooks,
            self.merge_queue,
            self.planning,
        ]
        if self.settings.completions_url is not None:
            workers.append(self.consulting)
        if self.settings.embeddings_url is not None:
            workers.append(self.embedding)
        return workers

    def _failing_worker(self) -> str | None:
        """A message about a background worker that fails; None when none does."""
        return next((reason for worker in self._workers() if (reason := worker.failure())), None)

    @asynccontextmanager
    async def without_workers(self) -> AsyncIterator[Server]:
        """Answer requests of this process only: no worker runs. The store is closed at the end."""
        await self.bus.start()
        try:
            yield self
        finally:
            await self.hooks.service.settled()
            await self.implicit_heartbeats.stop()
            await self.dispatch.close()
            await self.revocations.stop()
            await self.tails.stop()
            await self.bus.stop()
            await self.uptime.stop()
            self.store.close()

    def _access_changed(self) -> None:
        """Look callers up again, and run the sweeper, which frees the locks of agents that left."""
        self.authenticate.forget()
        self.sweeper.wake()

    def interrupt(self) -> None:
        """End long-lived streams and waits, so that the web server can stop without waiting for them."""
        self.mcp.cut()
        self.streams.interrupt()
        self.dispatch.interrupt()


def _renew_secret(tx: Transaction, result: BaseModel) -> BaseModel:
    """A recorded result with a secret in it again: a new token, or a webhook's own, which is kept."""
    if isinstance(result, WebhookSecret):
        return show_again(tx, result)
    return tokens.renew_secret(tx, result)


def open_workspace(store: Store, data: Path, name: str, path: str | None) -> str:
    """The home workspace's id; created on first start, with the owner's token in the data folder.

    Raises AnotherRepository when the database is shared, this folder has not been in its workspace before,
    and that has another name.
    """
    token_file = data / folder.TOKEN
    existing = store.read_now(system_caller(""), home_workspace)
    if existing is None:
        workspace_id = new_id()
        created = store.write_now(
            system_caller(workspace_id), lambda tx: create(tx, workspace_id, name, path, home=True)
        )
        folder.write_owner_token(data, created.token_id, created.token)
        return workspace_id
    if not _is_owner_secret(store, folder.read_secret(token_file), existing.id):
        if store.shared and existing.name != name:
            raise AnotherRepository(f"the database is that of '{existing.name}', not of '{name}'")
        previous = folder.owner_token_id(data)
        token_id, secret = store.write_now(
            system_caller(existing.id),
            lambda tx: tokens.replace_owner(tx, previous, only_file=not store.shared),
        )
        folder.write_owner_token(data, token_id, secret)
    return existing.id


def _is_owner_secret(store: Store, secret: str | None, workspace_id: str) -> bool:
    """Whether the secret is the token of this workspace's owner; a restored database may hold another."""
    if secret is None:
        return False
    try:
        caller = store.read_now(system_caller(""), lambda tx: tokens.find(tx, secret))
    except Unauthenticated:
        return False
    return bool(caller.workspace_id == workspace_id and caller.role == Role.OWNER)


def prepare(settings: Settings, store: Store, name: str, path: str | None) -> str:
    """Bring the schema and the contents up to date and open the home workspace; returns its id."""
    with migrate.lock_startup(store):
        migrate.upgrade(store)
        move_into_database(store)
        return open_workspace(store, settings.data, name, path)
