/** A front end as LiveKit's documentation makes them; nothing in it knows this project. */

import {
  LiveKitRoom, RoomAudioRenderer, useChat, useConnectionState, useTranscriptions, useVoiceAssistant,
} from "@livekit/components-react";
import { TokenSource } from "livekit-client";
import { createRoot } from "react-dom/client";

function Assistant() {
  // Its agentTranscriptions read the legacy packet, which is deprecated for useTranscriptions.
  const { agent, state, audioTrack } = useVoiceAssistant();
  const said = useTranscriptions();
  const { send } = useChat();
  return (
    <dl>
      <dt>connection</dt><dd id="connection">{useConnectionState()}</dd>
      <dt>agent</dt><dd id="agent">{agent?.identity}</dd>
      <dt>state</dt><dd id="state">{state}</dd>
      <dt>words</dt>
      <dd id="words">{said.map(({ participantInfo, text }) => `${participantInfo.identity}: ${text}`).join("\n")}</dd>
      <dt>sound</dt><dd id="sound">{audioTrack?.participant.identity}</dd>
      <dd><button onClick={() => send("What is a mouse?")}>Ask by chat</button></dd>
    </dl>
  );
}

const endpoint = new URLSearchParams(location.search).get("endpoint");
const { serverUrl, participantToken } = await TokenSource.endpoint(endpoint).fetch({ agentName: "ada" });
createRoot(document.getElementById("root")).render(
  <LiveKitRoom serverUrl={serverUrl} token={participantToken} connect audio>
    <RoomAudioRenderer />
    <Assistant />
  </LiveKitRoom>,
);
