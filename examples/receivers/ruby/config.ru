# frozen_string_literal: true

# Receives deliveries of Callboard: verifies, answers, and works afterwards.

require "set"
require "standardwebhooks"

$stdout.sync = true

MAX_BODY_BYTES = 1 << 20

secret = ENV.fetch("CALLBOARD_SECRET")
abort "CALLBOARD_SECRET is empty" if secret.empty? # the library would take an empty key
webhook = StandardWebhooks::Webhook.new(secret)

# A real receiver puts this queue into its database, so that what it answered 204 to
# survives a crash.
accepted = SizedQueue.new(1000)

# A delivery can come twice. A real receiver keeps the ids in a table with a unique
# key, and writes each in the transaction of the work itself.
Thread.new do
  done = Set.new
  loop do
    id, event = accepted.pop
    puts "#{event["type"]} #{event.dig("subject", "id")} (#{id})" if done.add?(id)
  end
end

run(lambda do |env|
  body = env["rack.input"].read(MAX_BODY_BYTES + 1).to_s
  next [413, {}, []] if body.bytesize > MAX_BODY_BYTES

  headers = %w[webhook-id webhook-timestamp webhook-signature].to_h do |name|
    [name, env["HTTP_#{name.upcase.tr("-", "_")}"]]
  end
  begin
    event = webhook.verify(body, headers)
  rescue StandardError # what the library can't even read is no more genuine
    next [401, {}, []]
  end

  accepted.push([headers["webhook-id"], event], true)
  [204, {}, []]
rescue ThreadError # the queue is full; Callboard comes back later
  [503, {}, []]
end)
