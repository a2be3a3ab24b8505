<?php

// Receives deliveries of Callboard: verifies, answers, and works afterwards.

declare(strict_types=1);

use StandardWebhooks\Webhook;

require __DIR__ . '/vendor/autoload.php';

const MAX_BODY_BYTES = 1 << 20;

$secret = getenv('CALLBOARD_SECRET');
if ($secret === false || $secret === '') { // the library would take an empty key
    throw new RuntimeException('CALLBOARD_SECRET is not set');
}

$body = file_get_contents('php://input', length: MAX_BODY_BYTES + 1);
if (strlen($body) > MAX_BODY_BYTES) {
    http_response_code(413);
    exit;
}

$headers = array_change_key_case(getallheaders(), CASE_LOWER);
try {
    $event = (new Webhook($secret))->verify($body, $headers);
} catch (Throwable) { // what the library can't even read is no more genuine
    http_response_code(401);
    exit;
}

// A delivery can come twice. Only one request can make the file of an id. A real
// receiver keeps the ids, and the events to work on, in a table with a unique key,
// so that what it answered 204 to survives a crash.
$inbox = sys_get_temp_dir() . '/callboard-receiver';
if (!is_dir($inbox)) {
    @mkdir($inbox, 0700); // another request may just have made it
}
$id = $headers['webhook-id'];
$path = $inbox . '/' . hash('sha256', $id);
$isNew = @fopen($path, 'x') !== false;
if (!$isNew && !is_file($path)) { // it could not be kept: let it come again
    http_response_code(500);
    exit;
}

http_response_code(204);
if (function_exists('fastcgi_finish_request')) {
    fastcgi_finish_request(); // under PHP-FPM the answer is sent here
} else {
    flush();
}

if ($isNew) {
    file_put_contents('php://stdout', "{$event['type']} {$event['subject']['id']} ({$id})\n");
}
