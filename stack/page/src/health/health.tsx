import { Head, Problem, Status } from "../frame.tsx";
import { getJson } from "../http.ts";
import { useLoaded } from "../loaded.ts";
import type { HealthInfo, ListProvidersResponse, VersionInfo } from "../wire.ts";

/** Whether the server and what it calls are well. */
export function Health() {
  const health = useLoaded("health", (signal) => getJson<HealthInfo>("/v1/health", signal));
  const version = useLoaded("version", (signal) => getJson<VersionInfo>("/v1/version", signal));
  const providers = useLoaded("providers", (signal) => getJson<ListProvidersResponse>("/v1/providers", signal));
  const error = health.error ?? version.error ?? providers.error;
  return (
    <div class="place">
      <Head title="Health">
        <span class="quiet">{version.value && `Replaystack ${version.value.version}`}</span>
      </Head>
      {error && <Problem error={error} again={health.again} />}
      {health.value && (
        <p class={health.value.detail ? "problem" : "empty"}>{health.value.detail ?? "The server is well."}</p>
      )}
      <table class="listing">
        <thead>
          <tr>
            <th>Provider</th>
            <th>API</th>
            <th>Type</th>
            <th>Health</th>
          </tr>
        </thead>
        <tbody>
          {providers.value?.data.map((one) => {
            const { status, message } = one.health as { status?: string; message?: string };
            return (
              <tr>
                <td>{one.provider_id}</td>
                <td>{one.api}</td>
                <td>
                  <code>{one.provider_type}</code>
                </td>
                <td>
                  <Status name={status === "OK" ? "completed" : "failed"} /> {message}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
